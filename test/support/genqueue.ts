import { join } from 'node:path'
import { vi } from 'vitest'
import { runCommandLine } from '../../src/cli/command-line.ts'
import { TEST_KEY } from './start-service.ts'
import { spawnNode, type SpawnedProcess } from './spawn-process.ts'
import { tempDir } from './temp-dir.ts'

const CLI = join(import.meta.dirname, '../../src/cli/main.ts')

export interface Ended {
  exit: number | null
  stdout: string
  stderr: string
}

export interface Surroundings {
  /** All settings that the command knows. */
  env?: Record<string, string>
  /** Working folder; an empty one if absent. */
  cwd?: string
}

/** The command line as a separate process. */
export function startGenqueue(args: string[], { env = {}, cwd = tempDir() }: Surroundings = {}): SpawnedProcess {
  return spawnNode(CLI, args, { cwd, env })
}

export async function ended(child: SpawnedProcess): Promise<Ended> {
  const { code } = await child.exited
  return { exit: code, stdout: child.stdout, stderr: child.stderr }
}

export const serviceEnv = ({ url }: { url: string }): Record<string, string> => ({
  GENQUEUE_URL: url,
  GENQUEUE_API_KEY: TEST_KEY,
})

/** Runs a command on a service of the tests, as a separate process. */
export const genqueue = (service: { url: string }, args: string[], cwd?: string): Promise<Ended> =>
  ended(startGenqueue(args, { env: serviceEnv(service), ...(cwd === undefined ? {} : { cwd }) }))

const SETTINGS = ['GENQUEUE_URL', 'GENQUEUE_API_KEY']
let before: Promise<unknown> = Promise.resolve()

/**
 * The command line in this process, which costs a tenth of a separate one. The working folder, the environment and both streams are
 * those of the command while it runs, so commands run one after the other.
 */
export function runGenqueue(args: string[], surroundings: Surroundings = {}): Promise<Ended> {
  const turn = before.then(() => runHere(args, surroundings))
  before = turn.catch(() => undefined)
  return turn
}

async function runHere(args: string[], { env = {}, cwd = tempDir() }: Surroundings): Promise<Ended> {
  const written = { stdout: '', stderr: '' }
  const writes = (['stdout', 'stderr'] as const).map((name) =>
    vi.spyOn(process[name], 'write').mockImplementation((part) => {
      written[name] += part.toString()
      return true
    }),
  )
  const folder = process.cwd()
  for (const name of SETTINGS) vi.stubEnv(name, undefined)
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value)
  process.chdir(cwd)
  try {
    return { exit: await runCommandLine(args), ...written }
  } finally {
    process.chdir(folder)
    vi.unstubAllEnvs()
    for (const write of writes) write.mockRestore()
  }
}
