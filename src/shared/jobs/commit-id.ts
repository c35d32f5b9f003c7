import { randomBytes } from 'node:crypto'

/** 72 random bits in 12 characters: each job remembers eight of them. */
export const newCommitId = (): string => randomBytes(9).toString('base64url')
