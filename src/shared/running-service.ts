import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'

/** What a process of role `all` leaves in its data folder while it runs, for commands on the same machine. */
const schema = z.object({
  /** Origin at which this machine reaches it. */
  url: z.string(),
  /** Whether it takes sign-in links: it has a development key. */
  signInLinks: z.boolean(),
})
export type RunningService = z.infer<typeof schema>

const fileIn = (dataDir: string): string => join(dataDir, 'service.json')

export async function writeRunningService(dataDir: string, service: RunningService): Promise<void> {
  await rm(fileIn(dataDir), { force: true })
  await writeFile(fileIn(dataDir), `${JSON.stringify(service)}\n`, { mode: 0o600 })
}

/** null: none runs, or it wrote nothing that can be read. */
export async function readRunningService(dataDir: string): Promise<RunningService | null> {
  try {
    return schema.parse(JSON.parse(await readFile(fileIn(dataDir), 'utf8')))
  } catch {
    return null
  }
}

export const forgetRunningService = (dataDir: string): Promise<void> => rm(fileIn(dataDir), { force: true })
