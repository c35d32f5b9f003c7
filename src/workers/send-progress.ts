import { ulid } from 'ulid'
import type { JobReader, RedisClock } from '../shared/jobs/ports.ts'
import type { JobRecord } from '../shared/jobs/rules/job.ts'
import type { EndpointStore, NotificationStore } from '../shared/notifications/ports.ts'
import { jobData } from '../shared/notifications/rules/payload.ts'
import { receiversOf } from '../shared/notifications/rules/receivers.ts'
import type { Message, SendResult, Transport } from '../shared/notifications/transport-port.ts'
import type { Logger } from '../shared/process/logger.ts'
import type { SigningSecretStore } from '../shared/tenants/ports.ts'
import type { JsonObject } from '../shared/values/json.ts'

export interface ProgressDependencies {
  jobs: JobReader
  clock: RedisClock
  store: Pick<NotificationStore, 'mayProgress' | 'countLossy' | 'health'>
  endpoints: Pick<EndpointStore, 'list'>
  secrets: Pick<SigningSecretStore, 'read'>
  transport: Transport<SendResult>
  bodyOf: (notification: Message['notification']) => Promise<string>
  lastPrediction: (job: JobRecord) => JsonObject
  log: Logger
}

/** Time between two events of the progress of a job, ms. */
const EVERY_MS = 500
/** Attempts of a process at the same time; what comes meanwhile is left out. */
const AT_ONCE = 32

/**
 * Sends the progress of a running job to those that hear of it: once, and nothing of it is kept. Called only where somebody
 * hears of it. Receivers that failed last get none, and nothing waits for a receiver.
 */
export function createSendProgress(dependencies: ProgressDependencies) {
  const { jobs, clock, store, endpoints, secrets, transport, bodyOf, lastPrediction, log } = dependencies
  let inFlight = 0

  async function send(message: Omit<Message, 'body'>, stopping: AbortSignal): Promise<void> {
    if (inFlight >= AT_ONCE) return store.countLossy('failed')
    inFlight++
    try {
      const body = await bodyOf(message.notification)
      const { status, error } = await transport.send({ ...message, body }, stopping)
      await store.countLossy(error === null && status !== null && status < 300 ? 'sent' : 'failed')
    } catch (error) {
      log.debug({ err: error, job: message.notification.job }, 'could not send the progress of a job')
    } finally {
      inFlight--
    }
  }

  return async (id: string, stopping: AbortSignal): Promise<void> => {
    if (!(await store.mayProgress(id, EVERY_MS))) return
    const job = await jobs.read(id)
    if (job?.phase !== 'running') return
    const { tenant, webhook, batch, progress } = job
    const [at, all] = await Promise.all([clock.now(), endpoints.list(tenant)])
    const byId = new Map(all.map((one) => [one.id, one]))
    const { job: thin } = jobData(job)
    const notice = ulid(at)
    for (const receiver of receiversOf({ type: 'job.progress', tenant, job, webhook }, all)) {
      const { name, isHeld, endpoint, destination, url, shape } = receiver
      const found = endpoint === null ? null : byId.get(endpoint)
      const isMail = found?.kind === 'email'
      if (isHeld || isMail || (await store.health(destination)).failures > 0) continue
      void send(
        {
          notification: {
            v: 1,
            id: `ntf_${notice}_${name}`,
            tenant,
            type: 'job.progress',
            endpoint,
            destination,
            url,
            shape,
            job: id,
            batch,
            data: shape === 'replicate' ? lastPrediction(job) : { job: { ...thin, progress } },
            created_at: at,
            state: 'pending',
            next_at: null,
            tries: 0,
            rev: 0,
            attempts: [],
          },
          to: url ?? found?.to ?? '',
          secrets: found ? found.secrets : await secrets.read(tenant),
          at,
        },
        stopping,
      )
    }
  }
}
