import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const readDockerfile = (): string => readFileSync(join(import.meta.dirname, '../../Dockerfile'), 'utf8')

/** What the image sets for the allocator. */
export const imageAllocator = (): Record<string, string> => ({
  MALLOC_ARENA_MAX: /^ENV MALLOC_ARENA_MAX=(\d+)$/m.exec(readDockerfile())?.[1] ?? '',
})

/** The flags that the image starts Node with. */
export function imageFlags(): string[] {
  const [, command = '[]'] = /^CMD (\[.*\])$/m.exec(readDockerfile()) ?? []
  return (JSON.parse(command) as string[]).filter((word) => word.startsWith('--'))
}
