// `npm run demo` creates a story book of four pictures. Everything runs in this process, on a temporary data folder and with
// a simulated Replicate; only the pictures remain. `--out <folder>` sets their folder.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { everyJob, followBatch } from '../src/cli/follow.ts'
import { saveFiles } from '../src/cli/save-files.ts'
import { credits, secondsBetween, span } from '../src/cli/format.ts'
import { createClient } from '../src/client/client.ts'
import type { Job } from '../src/client/types.ts'
import { startService } from '../src/compose/service.ts'
import { provideLocalParts } from '../src/compose/local-parts.ts'
import { parseConfig } from '../src/shared/settings/config.ts'
import { readEnvironment } from '../src/shared/settings/environment.ts'
import { createLogger } from '../src/shared/process/logger.ts'
import { buildInScope } from '../src/shared/process/scope.ts'

const STORY = [
  ['cover', 'Cover of a picture book: a small fox in front of a lighthouse, at dusk, watercolour'],
  ['page-1', 'The small fox finds a boat on the beach, morning light, watercolour'],
  ['page-2', 'The small fox and a seagull sail under the stars, watercolour'],
  ['page-3', 'The small fox lights the lamp of the lighthouse, warm light over the sea, watercolour'],
] as const

const { values } = parseArgs({ options: { out: { type: 'string' } }, strict: true })
const say = (line = ''): void => void process.stdout.write(`${line}\n`)

/** The first signal stops the demo gracefully. npm and the terminal both send one, so later ones are ignored. */
const leaving = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const)
  process.on(name, () => {
    if (leaving.signal.aborted) return
    say('\nStopping …')
    leaving.abort()
  })

async function runDemo(dataDir: string, out: string): Promise<void> {
  const { REDIS_SERVER_BIN } = readEnvironment()
  const config = parseConfig({
    DATA_DIR: dataDir,
    PORT: '0',
    SIMULATOR_PORT: '0',
    LOG_LEVEL: 'error',
    REDIS_SERVER_BIN,
  })
  const log = createLogger({ level: config.logLevel, readable: process.stdout.isTTY })
  say('Starting Redis, a simulator of Replicate, and genqueue …')
  const began = performance.now()
  const demo = await buildInScope(log, async (scope) => {
    const parts = await provideLocalParts(config, log, scope)
    leaving.signal.throwIfAborted()
    const { url } = await startService({ config, ...parts, log }, scope)
    leaving.signal.throwIfAborted()
    if (url === null || parts.devApiKey === null) throw new Error('The service did not open a port.')
    return { url, key: parts.devApiKey }
  })
  try {
    say(`Ready after ${span((performance.now() - began) / 1000)} at ${demo.url}\n`)
    await makeBook(createClient({ baseUrl: demo.url, key: demo.key }), out)
  } finally {
    await demo.stop()
  }
}

async function makeBook(client: ReturnType<typeof createClient>, out: string): Promise<void> {
  const submittedAt = performance.now()
  const accepted = await client.batch({
    preset: 'story-page',
    items: STORY.map(([page, prompt]) => ({ input: { prompt }, metadata: { page } })),
    metadata: { story: 'The fox and the lighthouse' },
  })
  say(`POST /v1/batches  202 after ${Math.round(performance.now() - submittedAt)} ms  ${accepted.id}\n`)
  const batch = await followBatch(client, accepted, { screen: process.stdout, signal: leaving.signal, json: false })
  say()
  for (const job of await everyJob(client, batch.id)) {
    const [file] = await saveFiles(client, job, out, pageOf(job))
    const took = span(secondsBetween(job.created_at, job.completed_at))
    say(
      `${pageOf(job).padEnd(7)} ${took.padStart(6)}  ${credits(job.cost?.captured ?? 0)} credits  ${file ?? job.error?.message}`,
    )
  }
  const { cost, counts, created_at, completed_at } = batch
  say(`\n${counts.succeeded} of ${counts.total} pictures in ${span(secondsBetween(created_at, completed_at))}`)
  say(
    `Cost: ${credits(cost?.captured ?? 0)} credits, estimated ${credits(cost?.estimate ?? 0)} (simulated: nothing was billed)`,
  )
  say(`Pictures: ${out}`)
  if (batch.status !== 'succeeded') throw new Error(`The batch completed with status ${batch.status}.`)
}

const pageOf = ({ metadata, id }: Job): string => STORY.find(([page]) => page === metadata.page)?.[0] ?? id

const dataDir = await mkdtemp(join(tmpdir(), 'genqueue-demo-'))
try {
  const out = values.out === undefined ? await mkdtemp(join(tmpdir(), 'genqueue-story-')) : resolve(values.out)
  await runDemo(dataDir, out)
} catch (error) {
  if (!leaving.signal.aborted) console.error(error instanceof Error ? error.message : error)
  process.exitCode = leaving.signal.aborted ? 130 : 1
} finally {
  await rm(dataDir, { recursive: true, force: true, maxRetries: 5 })
}
