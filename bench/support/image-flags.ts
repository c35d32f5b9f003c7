import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const readDockerfile = (): string => readFileSync(join(import.meta.dirname, '../../Dockerfile'), 'utf8')

/** Environment variables of the container image for the allocator. */
export const imageAllocator = (): Record<string, string> => ({
  MALLOC_ARENA_MAX: /^ENV MALLOC_ARENA_MAX=(\d+)$/m.exec(readDockerfile())?.[1] ?? '',
})

/** Flags with which the container image starts Node. */
export function imageFlags(): string[] {
  const [, command = '[]'] = /^CMD (\[.*\])$/m.exec(readDockerfile()) ?? []
  return (JSON.parse(command) as string[]).filter((word) => word.startsWith('--'))
}
