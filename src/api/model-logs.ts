import type { JobLogs } from './description/jobs.ts'
import { ServiceError } from '../shared/errors/service-error.ts'
import { isFinal, keepsLogs, type JobRecord } from '../shared/jobs/rules/job.ts'
import type { LogsReader } from '../shared/jobs/ports.ts'
import { keptLogs, LOG_BYTES } from '../shared/replicate/rules/last-logs.ts'
import type { Accounts } from '../shared/replicate/accounts.ts'

export interface ModelLogsDependencies {
  store: LogsReader
  accounts: Pick<Accounts, 'of'>
}

/** Throws `upstream_unavailable`. */
export type ModelLogs = (job: JobRecord) => Promise<JobLogs>

/** ms for which a response is cached, because reads count against the account's budget. */
const KEPT_RUNNING_MS = 2_000
const KEPT_FINAL_MS = 60_000
const KEPT_JOBS = 200
const BUDGET_WAIT_MS = 5_000

/**
 * Logs of the model. They are read from Replicate, which keeps them for an hour; only those of jobs of Replicate's own API
 * are stored here.
 */
export function createModelLogs({ store, accounts }: ModelLogsDependencies): ModelLogs {
  const known = new Map<string, { until: number; isFinal: boolean; answer: Promise<JobLogs> }>()

  async function fetchLogs(prediction: string, account: string): Promise<JobLogs> {
    const { upstream, reads } = accounts.of(account)
    await reads
      .of('poll')
      .take(AbortSignal.timeout(BUDGET_WAIT_MS))
      .catch(() => {
        throw new ServiceError('upstream_unavailable', 'The read budget is used up for now.', {
          retryAfter: 5,
        })
      })
    const result = await upstream.get(prediction)
    if (result.kind === 'not_found') return { logs: null, truncated: false }
    if (result.kind === 'failed' && result.cause === 'account')
      throw new ServiceError(
        'upstream_unavailable',
        'Could not load the logs: Replicate refuses the account. The operator has to check the token and the credit.',
        { retryAfter: 120 },
      )
    if (result.kind !== 'prediction')
      throw new ServiceError('upstream_unavailable', 'Could not load the logs from Replicate.', { retryAfter: 5 })
    const { logs, logs_left_out, data_removed } = result.prediction
    if (data_removed === true && !logs) return { logs: null, truncated: false }
    const text = logs ?? ''
    const kept = keptLogs(text)
    return { logs: kept, truncated: kept.length < text.length || logs_left_out !== undefined }
  }

  function logsOf(prediction: string, account: string, isOver: boolean): Promise<JobLogs> {
    const now = Date.now()
    const last = known.get(prediction)
    // The last lines of a job that is final may have come after the last read.
    if (last && last.until > now && last.isFinal === isOver) return last.answer
    const kept = isOver ? KEPT_FINAL_MS : KEPT_RUNNING_MS
    const answer = fetchLogs(prediction, account)
    known.delete(prediction)
    known.set(prediction, { until: now + kept, isFinal: isOver, answer })
    answer.catch(() => known.delete(prediction))
    const [oldest] = known.keys()
    if (known.size > KEPT_JOBS && oldest !== undefined) known.delete(oldest)
    return answer
  }

  /** The logs that are kept here. Those that fill the limit are taken for the end of longer ones. */
  async function keptOf(id: string): Promise<JobLogs> {
    const logs = await store.logsOf(id)
    return { logs, truncated: logs !== null && Buffer.byteLength(logs) > LOG_BYTES - 4 }
  }

  return async ({ id, account, prediction_id, phase, via }) => {
    const none: JobLogs = { logs: null, truncated: false }
    const found = prediction_id === null ? none : await logsOf(prediction_id, account, isFinal(phase))
    return found.logs === null && keepsLogs({ via }) ? keptOf(id) : found
  }
}
