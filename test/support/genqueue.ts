import { join } from 'node:path'
import { TEST_KEY } from './start-service.ts'
import { spawnNode, type SpawnedProcess } from './spawn-process.ts'
import { tempDir } from './temp-dir.ts'

const CLI = join(import.meta.dirname, '../../src/cli/main.ts')

export interface Ended {
  exit: number | null
  stdout: string
  stderr: string
}

/** The command line as a separate process in an empty folder; `env` holds all that it knows of a service. */
export function startGenqueue(
  args: string[],
  options: { env?: Record<string, string>; cwd?: string } = {},
): SpawnedProcess {
  return spawnNode(CLI, args, { cwd: options.cwd ?? tempDir(), env: options.env ?? {} })
}

export async function ended(child: SpawnedProcess): Promise<Ended> {
  const { code } = await child.exited
  return { exit: code, stdout: child.stdout, stderr: child.stderr }
}

/** Runs a command on a service of the tests. */
export const genqueue = (service: { url: string }, args: string[], cwd?: string): Promise<Ended> =>
  ended(
    startGenqueue(args, {
      env: { GENQUEUE_URL: service.url, GENQUEUE_API_KEY: TEST_KEY },
      ...(cwd === undefined ? {} : { cwd }),
    }),
  )
