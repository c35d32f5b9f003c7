/**
 * Everything that can hold up a whole deployment, or a process of it (docs/waiting.md has the table). Each condition is
 * logged once when it begins and once when it ends, stands in Health and in the metric `genqueue_condition`, and may make
 * a worker unready.
 */

interface Kind {
  /** Of the line that is logged when it begins. */
  level: 'error' | 'warn' | 'info'
  begins: string
  ends: string
  /** While it lasts, no prediction is created: `/readyz` of a worker answers 503. */
  stopsCreation: boolean
}

const kind = (level: Kind['level'], stopsCreation: boolean, begins: string, ends: string): Kind => ({
  level,
  begins,
  ends,
  stopsCreation,
})

/** The most important first. */
export const CONDITIONS = {
  no_worker: kind('error', true, 'No worker is running: jobs are accepted and wait', 'A worker is running'),
  deployment_lost: kind(
    'error',
    true,
    'Redis holds another deployment, or lost its data: nothing is created until that is mended',
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
    'Replicate cannot be reached or does not give usable answers. Requests are retried',
    'Replicate answers again',
  ),
  pause_account: kind(
    'error',
    true,
    'Creation is paused: Replicate refuses the account. Check the token and the credit',
    'Creation resumed: Replicate accepts the account',
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
  pause_storage: kind(
    'error',
    true,
    'Creation is paused: outputs cannot be stored',
    'Creation resumed: outputs can be stored',
  ),
  recovery_former: kind(
    'info',
    true,
    'Redis was restarted: creation waits for create requests that began before',
    'Create requests that began before the restart of Redis are over',
  ),
  recovery_listing: kind(
    'warn',
    true,
    'Redis was restarted, and the predictions at Replicate cannot be compared yet: nothing is created before that',
    'The predictions at Replicate were compared',
  ),
  redis_unfit: kind('error', false, 'Redis is not fit for this service', 'Redis is fit for this service again'),
  redis_filling: kind('warn', false, 'Redis is filling up: new jobs are refused', 'Redis has room again'),
  storage_failing: kind('error', false, 'Files cannot be stored', 'Files can be stored again'),
  copies_failing: kind('warn', false, 'Copying outputs fails', 'Copying outputs works again'),
  outputs_at_risk: kind(
    'error',
    false,
    'Outputs that Replicate removes within 15 minutes are not copied yet',
    'No output is at risk any more',
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
    'Webhooks cannot be verified: their signing secret is not known or wrong. Jobs are completed by polling',
    'The signing secret of webhooks is known',
  ),
  beat_failing: kind(
    'warn',
    false,
    'This worker cannot report to Redis that it is alive',
    'This worker reports to Redis again that it is alive',
  ),
  clock_difference: kind(
    'error',
    false,
    'The clocks of this machine, of Redis and of Replicate differ too much. Synchronise them (NTP)',
    'The clocks agree again',
  ),
} as const satisfies Record<string, Kind>

export type ConditionName = keyof typeof CONDITIONS

export const CONDITION_NAMES: readonly ConditionName[] = Object.keys(CONDITIONS).filter(isConditionName)

/** A newer release may report conditions that this one does not know. */
export function isConditionName(name: string): name is ConditionName {
  return Object.hasOwn(CONDITIONS, name)
}

/** A condition that lasts, as one or several processes report it. */
export interface Condition {
  name: ConditionName
  /** ms since 1970: when the first of them reported it */
  since: number
  /** For operators: what was met, such as an error's text. */
  detail: string
  /** How many processes report it. */
  processes: number
}

/** What one process reports. */
export interface Report {
  name: ConditionName
  since: number
  detail: string
}

/** Where processes of a deployment share what they report. */
export interface ConditionBoard {
  /** Writes all reports of a process, in place of those before; none: it reports nothing. */
  report(process: string, reports: readonly Report[]): Promise<void>
  /** Reports of other processes that are fresh; with the process that made each. */
  read(): Promise<(Report & { process: string })[]>
}
