import { webhookSecretOf } from './accounts.ts'
import { openBlobs } from './blobs.ts'
import { createBudgets } from './budgets.ts'
import { type ClockKind, createClock } from './clock.ts'
import { createFaults } from './faults.ts'
import { habitsSchema, type HabitsInput } from './habits.ts'
import { startHttpServer } from './http/server.ts'
import { createInputFiles } from './input-files.ts'
import { noJournal, openJournal } from './journal.ts'
import { createLifeCycle } from './life-cycle.ts'
import { makeCertificate } from './certificate.ts'
import { createCatalogue } from './models/catalogue.ts'
import type { ModelFile } from './models/model.ts'
import { createOutputFiles } from './output-files.ts'
import { createOwnFiles } from './own-files.ts'
import { openPredictionBook } from './prediction-book.ts'
import { createRequestLog } from './request-log.ts'
import { redirectingFetch } from './redirecting-fetch.ts'
import { removeExpired } from './remove-expired.ts'
import { routesOf } from './routes/index.ts'
import type { Services } from './routes/services.ts'
import { createStubs } from './stubs.ts'
import { createTestKit } from './test-kit.ts'
import type { TestKit } from './test-kit-types.ts'
import { trustingFetch } from './trusting-fetch.ts'
import { createWebhookSender } from './webhook-sender.ts'

export interface SimulatorOptions {
  /** Default 127.0.0.1. */
  host?: string
  /** 0: any free port. */
  port: number
  /** Folder of the journal; null: in memory only. */
  dataDir: string | null
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
  /** Serves HTTPS, with a certificate that is made at the start: see `Simulator.ca`. Default false. */
  tls?: boolean
  /** `manual`: the time stands still but for `clock.advance`. Default `real`. */
  clock?: ClockKind
  /** Unconfirmed behaviour of Replicate. */
  habits?: HabitsInput
  log?: (line: object) => void
}

export interface Simulator extends TestKit {
  /** http://127.0.0.1:4010 */
  url: string
  /** The base URL for clients: `url` and `/v1`. */
  apiUrl: string
  port: number
  /** With `tls`: the authority that signed the certificate, in PEM, which clients have to trust. */
  ca: string | null
  /**
   * Sends requests for `https://api.replicate.com` and the hosts of output files to this simulator, and all others where they
   * want to go: `new Replicate({ auth, fetch: simulator.fetch })`.
   */
  fetch: typeof fetch
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

export { file, type FileOutput } from './models/file.ts'
export { redirectingFetch, type RedirectOptions } from './redirecting-fetch.ts'
export { connectSimulator, type RemoteSimulator } from './remote-simulator.ts'
export type { Books, SeenRequest, SimulatorScope, Stub, StubHandle } from './test-kit-types.ts'

const SWEEP_MS = 2000

export async function startSimulator(options: SimulatorOptions): Promise<Simulator> {
  const { host = '127.0.0.1', port, dataDir, log = () => undefined } = options
  const { createsPerMinute = 600, readsPerMinute = 3000 } = options
  const clock = createClock(options.clock)
  const catalogue = createCatalogue(options.models)
  const { journal, entries } = dataDir === null ? { journal: noJournal, entries: [] } : openJournal(dataDir)
  const book = openPredictionBook(journal, entries, { seed: options.seed, creditUsd: options.credit })
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
  const files = createOutputFiles(book, catalogue, blobs)
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
  const certificate = options.tls === true ? await makeCertificate(host) : null
  const server = await startHttpServer(
    { host, port, tls: certificate },
    routesOf(services),
    services.requests,
    log,
  ).catch((error: unknown) => {
    book.close()
    throw error
  })
  const sweep = setInterval(() => removeExpired(services), SWEEP_MS)
  lifeCycle.resume()
  const trusting = certificate === null ? null : trustingFetch(certificate.ca)
  const url = `${certificate === null ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${server.port}`
  return {
    ...createTestKit(services),
    url,
    apiUrl: `${url}/v1`,
    port: server.port,
    ca: certificate?.ca ?? null,
    fetch: redirectingFetch({ to: url, ...(trusting === null ? {} : { fetch: trusting.fetch }) }),
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
      await server.stop()
      await webhooks.stop()
      await trusting?.stop()
      book.close()
    },
  }
}
