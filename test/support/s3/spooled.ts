import { readdirSync } from 'node:fs'

/** The copies on their way to a bucket. The readiness check writes a file into the same folder, and removes it, at any moment. */
export const spooled = (folder: string): string[] => readdirSync(folder).filter((name) => !name.startsWith('check-'))
