/**
 * Everything that can hold up a deployment or one of its processes (table: docs/waiting.md). Each condition is logged once
 * when it begins and once when it ends, appears in Health and in the metric `genqueue_condition`, and may make a worker
 * unready.
 */

interface Kind {
  /** Level of the log line at the beginning; the line at the end is `info`. */
  level: 'error' | 'warn' | 'info'
  begins: string
  ends: string
  /** Whether no prediction is created while it lasts; `/readyz` of a worker then returns 503. */
  stopsCreation: boolean
}

const kind = (level: Kind['level'], stopsCreation: boolean, begins: string, ends: string): Kind => ({
  level,
  begins,
  ends,
  stopsCreation,
})

/** Most important first. */
export const CONDITIONS = {
  no_worker: kind('error', true, 'No worker is running: jobs are accepted and wait', 'A worker is running'),
  deployment_lost: kind(
    'error',
    true,
    'Redis holds another deployment, or has lost its data: nothing is created until this is fixed',
    'Redis holds this deployment again',
  ),
  token_refused: kind(
    'error',
    true,
    'Replicate refuses the API token: nothing is created. Check REPLICATE_API_TOKEN',
    'Replicate accepts the API token again',
  ),
  upstream_failing: kind(
    'error',
    true,
    'Replicate is unreachable or returns unusable responses. Requests are retried',
    'Replicate responds again',
  ),
  pause_account: kind(
    'error',
    true,
    'Creation is paused: Replicate refuses the account. Check the token and the credit',
    'Creation resumed: Replicate accepts the account',
  ),
  pause_webhook: kind(
    'error',
    true,
    'Creation is paused: Replicate refuses the webhook URL. Set PUBLIC_URL to an https URL that Replicate can reach, or remove it',
    'Creation resumed: Replicate accepts the webhook URL',
  ),
  pause_upstream: kind(
    'warn',
    true,
    'Creation is paused: Replicate is failing',
    'Creation resumed after upstream trouble',
  ),
  pause_rate_limited: kind(
    'warn',
    false,
    'Creation is paused: Replicate limits the rate of new predictions',
    'Creation resumed after a rate limit',
  ),
  rate_lowered: kind(
    'warn',
    false,
    'Replicate limits new predictions to less than the configured budget',
    'New predictions are created at the configured rate again',
  ),
  model_failing: kind(
    'warn',
    false,
    'A model fails at Replicate: its predictions are paused, and tried one by one',
    'The models that failed at Replicate work again',
  ),
  pause_storage: kind(
    'error',
    true,
    'Creation is paused: outputs cannot be stored',
    'Creation resumed: outputs can be stored',
  ),
  recovery_former: kind(
    'info',
    true,
    'Creation waits for create requests that were sent earlier',
    'Create requests that were sent earlier are complete',
  ),
  recovery_listing: kind(
    'warn',
    true,
    "Creation waits until Replicate's predictions have been listed and compared with Redis",
    "Replicate's predictions have been compared with Redis",
  ),
  account_missing: kind(
    'error',
    false,
    'Predictions are in an account that is not configured, and can be neither read nor canceled. Configure the account again',
    'The accounts of all predictions are configured',
  ),
  redis_unfit: kind('error', false, 'Redis is unsuitable for this service', 'Redis is suitable again'),
  redis_filling: kind('warn', false, 'Redis is filling up: new jobs are refused', 'Redis has room again'),
  storage_failing: kind('error', false, 'Files cannot be stored', 'Files can be stored again'),
  bucket_unset: kind(
    'warn',
    false,
    'Files are stored in a bucket that is not configured, and cannot be read or removed. Set S3_BUCKET again',
    'The bucket of stored files is configured',
  ),
  disk_filling: kind(
    'warn',
    false,
    'Less than DISK_RESERVE is free on the disk of DATA_DIR: uploads and jobs with new files are refused',
    'The reserve of the disk is free again',
  ),
  copies_failing: kind('warn', false, 'Copying outputs fails', 'Copying outputs works again'),
  outputs_at_risk: kind(
    'error',
    false,
    'Outputs that Replicate deletes within 15 minutes are not copied yet',
    'No output is at risk any more',
  ),
  notifications_late: kind(
    'error',
    false,
    'Notifications that are due are not sent: no worker takes them, or all places are in use',
    'Notifications are sent in time again',
  ),
  webhooks_silent: kind(
    'warn',
    false,
    'No webhooks received recently: falling back to polling',
    'Webhooks are received again',
  ),
  webhook_secret: kind(
    'warn',
    false,
    'Webhooks cannot be verified: the signing secret is missing or wrong. Jobs are completed by polling',
    'The webhook signing secret is available',
  ),
  beat_failing: kind(
    'warn',
    false,
    'This worker cannot write its heartbeat to Redis',
    'This worker writes its heartbeat to Redis again',
  ),
  clock_difference: kind(
    'error',
    false,
    'The clocks of this machine, Redis and Replicate differ too much. Synchronize them (NTP)',
    'The clocks agree again',
  ),
} as const satisfies Record<string, Kind>

export type ConditionName = keyof typeof CONDITIONS

/**
 * Conditions that follow from another one. While the cause lasts they are neither logged nor shown, so that one cause is one
 * condition.
 */
export const CONSEQUENCES: Partial<Record<ConditionName, readonly ConditionName[]>> = {
  token_refused: ['pause_account', 'recovery_listing'],
  // A 429 pauses first.
  pause_rate_limited: ['rate_lowered'],
}

export const CONDITION_NAMES: readonly ConditionName[] = Object.keys(CONDITIONS).filter(isConditionName)

/** False for a condition of a newer release. */
export function isConditionName(name: string): name is ConditionName {
  return Object.hasOwn(CONDITIONS, name)
}

/** A current condition, merged from the reports of one or several processes. */
export interface Condition {
  name: ConditionName
  /** Time of the first report, ms since 1970 */
  since: number
  /** For operators: the observed cause, such as the text of an error. */
  detail: string
  /** Number of processes that report it. */
  processes: number
}

/** A condition that one process reports. */
export interface Report {
  name: ConditionName
  since: number
  detail: string
}

/** Shares the reports of all processes of a deployment. */
export interface ConditionBoard {
  /** Replaces all reports of a process; an empty list removes them. */
  report(process: string, reports: readonly Report[]): Promise<void>
  /** Fresh reports of all processes, each with its process. */
  read(): Promise<(Report & { process: string })[]>
}
