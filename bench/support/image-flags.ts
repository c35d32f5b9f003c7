import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The flags that the image starts Node with. */
export function imageFlags(): string[] {
  const dockerfile = readFileSync(join(import.meta.dirname, '../../Dockerfile'), 'utf8')
  const [, command = '[]'] = /^CMD (\[.*\])$/m.exec(dockerfile) ?? []
  return (JSON.parse(command) as string[]).filter((word) => word.startsWith('--'))
}
