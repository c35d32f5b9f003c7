import { decodeTime } from 'ulid'
import type { JobRecord, Phase, Priority } from './job.ts'

/** The place of a waiting job, from which the order of jobs follows (docs/adr/0017-fair-order.md). */
export interface Place {
  job: string
  tenant: string
  priority: Priority
  /** The scopes, besides its tenant, that all jobs of the lane share, joined by `|`; the last one is the target. */
  lane: string
  /** Since when the job may start, ms: its acceptance, or `not_before`. 0: it has begun, and comes before those that have not. */
  ready: number
  /** Credits; null: the typical run time of the target counts instead. */
  cost: number | null
}

type Placed = Pick<
  JobRecord,
  'id' | 'tenant' | 'priority' | 'preset' | 'model' | 'deployment' | 'version' | 'not_before' | 'estimate' | 'phase'
>

/** When the job was accepted, ms, as its id says. */
export const acceptedAt = (id: string): number => decodeTime(id.slice('job_'.length))

/** What the job runs: `model:<owner/name>`, `deployment:<owner/name>` or `version:<id>`. */
export function targetScope({
  model,
  deployment,
  version,
}: Pick<JobRecord, 'model' | 'deployment' | 'version'>): string {
  if (deployment !== null) return `deployment:${deployment}`
  return model === null ? `version:${version ?? ''}` : `model:${model}`
}

export const laneOf = (job: Pick<JobRecord, 'preset' | 'model' | 'deployment' | 'version'>): string =>
  [...(job.preset === null ? [] : [`preset:${job.preset}`]), targetScope(job)].join('|')

const PLACED: ReadonlySet<Phase> = new Set(['queued', 'submitting', 'unknown', 'resubmitting'])

/** Whether the job may return to its place in line: no prediction serves it yet. */
export const mayReturn = ({ phase }: Pick<JobRecord, 'phase'>): boolean => PLACED.has(phase)

/** Part of the format of the line: the same for a job until it leaves the line. */
export const placeOf = (job: Placed): Place => ({
  job: job.id,
  tenant: job.tenant,
  priority: job.priority,
  lane: laneOf(job),
  ready: readyAt(job),
  cost: job.estimate > 0 ? job.estimate / 1_000_000 : null,
})

function readyAt({ id, phase, not_before }: Placed): number {
  if (phase === 'resubmitting') return 0
  return Math.max(acceptedAt(id), not_before ?? 0)
}

export const accountScope = (account: string): string => `account:${account}`

/** Whether a scope is an account: a worker chooses among accounts, so the lane of a job has none. */
export const isAccountScope = (scope: string): boolean => scope.startsWith(accountScope(''))

/**
 * Every scope of a job in flight: limits and pauses name scopes. `preset:<name>@<tenant>` is the scope of a preset's limit for
 * each tenant.
 */
export function scopesOf(
  job: Pick<JobRecord, 'tenant' | 'account' | 'preset' | 'model' | 'deployment' | 'version'>,
): string[] {
  const { tenant, account, preset } = job
  return [
    accountScope(account),
    `tenant:${tenant}`,
    ...(preset === null ? [] : [`preset:${preset}`, `preset:${preset}@${tenant}`]),
    targetScope(job),
  ]
}

const BREAKER = 'breaker:'
/** The scope of the pause by the circuit breaker of a target. */
export const breakerScope = (target: string): string => BREAKER + target
/** The target of such a scope; null: it is another scope. */
export const brokenTarget = (scope: string): string | null =>
  scope.startsWith(BREAKER) ? scope.slice(BREAKER.length) : null

/** The scopes whose pauses hold the job up: those of operators, and last that of its target's circuit breaker. */
export const pauseScopesOf = (job: Parameters<typeof scopesOf>[0]): string[] => [
  'all',
  ...scopesOf(job),
  breakerScope(targetScope(job)),
]
