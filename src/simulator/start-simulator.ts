import { webhookSecretOf } from './accounts.ts'
import { openBlobs } from './blobs.ts'
import { createBudgets } from './budgets.ts'
import { checkOptions } from './check-options.ts'
import { type ClockKind, createClock } from './clock.ts'
import { createExamples } from './examples.ts'
import { createFaults } from './faults.ts'
import { habitsSchema, type HabitsInput } from './habits.ts'
import { serve } from './http/serve.ts'
import type { Served, ServeOptions } from './served.ts'
import { routed } from './http/server.ts'
import { createInputFiles } from './input-files.ts'
import { noJournal, openJournal } from './journal.ts'
import { createLifeCycle } from './life-cycle.ts'
import { createCatalogue, describeModels } from './models/catalogue.ts'
import type { ModelFile } from './models/model.ts'
import { createOutputFiles } from './output-files.ts'
import { createOwnFiles } from './own-files.ts'
import { openPredictionBook } from './prediction-book.ts'
import { createRequestLog } from './request-log.ts'
import { removeExpired } from './remove-expired.ts'
import { routesOf } from './routes/index.ts'
import type { Services } from './routes/services.ts'
import { createStubs } from './stubs.ts'
import { createTestKit } from './test-kit.ts'
import type { TestKit } from './test-kit-types.ts'
import { createWebhookSender } from './webhook-sender.ts'

export interface SimulatorOptions extends ServeOptions {
  /** Folder of the journal. Default null: in memory only. */
  dataDir?: string | null
  /** Divides run times, nothing else. Default 1. */
  speed?: number
  /** Default 600. */
  createsPerMinute?: number
  /** Everything but creates. Default 3000. */
  readsPerMinute?: number
  /** Default: a minute's worth of each bucket. */
  burst?: number
  /**
   * The account's credit in US dollars, applied when the data folder is new or was begun with another amount. Default:
   * unlimited.
   */
  credit?: number
  /** More models: a file, or its content. */
  models?: string | ModelFile
  /** Default: the data folder's seed, else random. */
  seed?: number
  /** `manual`: the time stands still but for `clock.advance`. Default `real`. */
  clock?: ClockKind
  /** Unconfirmed behaviour of Replicate. */
  habits?: HabitsInput
}

export interface Simulator extends TestKit, Served {
  clock: {
    /** The simulator's time, in milliseconds since 1970. */
    now(): number
    /**
     * Moves the time forward by milliseconds: runs start and end, waits run out, webhooks are sent again, files expire, in
     * the order in which they are due. Resolves when all of that has happened.
     */
    advance(ms: number): Promise<void>
  }
  /** Stops everything. With a data folder, the next simulator resumes from this state. */
  stop(): Promise<void>
}

export { importModel, importModels } from './models/import-model.ts'
export { file, type FileOutput } from './models/file.ts'
export { startRecorder, type RecorderOptions } from './recording/record.ts'
export { startReplay, type ReplayOptions } from './recording/replay.ts'
export { redirectingFetch, type RedirectOptions } from './redirecting-fetch.ts'
export { connectSimulator, type RemoteSimulator } from './remote-simulator.ts'
export type { Books, BooksRow, SeenRequest, SimulatorScope, Stub, StubHandle } from './test-kit-types.ts'

const SWEEP_MS = 2000

/** A simulator in this process: in memory and on a free port, unless the options say otherwise. */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  checkOptions(options)
  const { dataDir = null, log = () => undefined } = options
  const { createsPerMinute = 600, readsPerMinute = 3000 } = options
  const clock = createClock(options.clock)
  const described = describeModels(options.models)
  const { journal, entries } = dataDir === null ? { journal: noJournal, entries: [] } : openJournal(dataDir)
  const book = openPredictionBook(journal, entries, { seed: options.seed, creditUsd: options.credit })
  const catalogue = createCatalogue(described, book.changes)
  const blobs = openBlobs(dataDir, (id) => book.find(id)?.removed === false || book.findUpload(id) !== undefined)
  const habits = { current: habitsSchema.parse(options.habits ?? {}) }
  const faults = createFaults(book.identity.seed)
  const stopping = new AbortController()
  const webhooks = createWebhookSender({
    clock,
    secret: (account) => webhookSecretOf(book.identity.webhookSecret, account),
    habits: () => habits.current,
    faults,
    count: (name) => book.countWebhook(name),
    log,
  })
  const examples = createExamples(catalogue, book.identity.privateKey)
  const files = createOutputFiles({ book, catalogue, blobs, examples })
  const inputs = createInputFiles({
    clock,
    blobs,
    habits: () => habits.current,
    own: createOwnFiles({ book, files, blobs }),
    stopping: stopping.signal,
  })
  const lifeCycle = createLifeCycle({
    clock,
    book,
    catalogue,
    inputs,
    files,
    blobs,
    webhooks,
    habits: () => habits.current,
    log,
  })
  const services: Services = {
    clock,
    book,
    catalogue,
    examples,
    lifeCycle,
    webhooks,
    faults,
    stubs: createStubs(),
    requests: createRequestLog(clock.now),
    files,
    blobs,
    habits,
    budgets: createBudgets({
      createsPerMinute,
      readsPerMinute,
      burst: options.burst,
      habits: () => habits.current,
      now: clock.elapsed,
    }),
    speed: options.speed ?? 1,
    stopping: stopping.signal,
  }
  const served = await serve({ ...options, log }, routed(routesOf(services)), services.requests).catch(
    (error: unknown) => {
      book.close()
      throw error
    },
  )
  const sweep = setInterval(() => removeExpired(services), SWEEP_MS)
  lifeCycle.resume()
  return {
    ...createTestKit(services),
    ...served,
    clock: {
      now: clock.now,
      async advance(ms) {
        await clock.advance(ms)
        removeExpired(services)
      },
    },
    async stop() {
      clearInterval(sweep)
      stopping.abort()
      lifeCycle.stop()
      await served.stop()
      await webhooks.stop()
      book.close()
    },
  }
}
