import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'

/** File that a process of role `all` keeps in its data folder while it runs, for commands on the same machine. */
const schema = z.object({
  /** Origin for requests from this machine. */
  url: z.string(),
  /** Whether it accepts sign-in links, because it has a development key. */
  signInLinks: z.boolean(),
  /** API of the simulator that it started; null: none. */
  simulator: z.string().nullish(),
})
export type RunningService = z.infer<typeof schema>

const fileIn = (dataDir: string): string => join(dataDir, 'service.json')

export async function writeRunningService(dataDir: string, service: RunningService): Promise<void> {
  await rm(fileIn(dataDir), { force: true })
  await writeFile(fileIn(dataDir), `${JSON.stringify(service)}\n`, { mode: 0o600 })
}

/** Reads the file; null when no service runs or the file is unreadable. */
export async function readRunningService(dataDir: string): Promise<RunningService | null> {
  try {
    return schema.parse(JSON.parse(await readFile(fileIn(dataDir), 'utf8')))
  } catch {
    return null
  }
}

export const forgetRunningService = (dataDir: string): Promise<void> => rm(fileIn(dataDir), { force: true })
