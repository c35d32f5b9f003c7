/** A member of the due index: its target, and its name in the index. */
export type DueMember =
  | { kind: 'job'; member: string; job: string }
  | { kind: 'attempt'; member: string; job: string; attempt: number }
  | { kind: 'effect'; member: string; job: string; effect: string }
  | { kind: 'batch'; member: string; batch: string }
  | { kind: 'owed'; member: string; tenant: string; notice: string }

export const dueJob = (job: string): DueMember => ({ kind: 'job', member: `job:${job}`, job })

/** Name of an attempt in the sets of open, unknown and stored ones, and in the index of predictions. */
export const attemptId = (job: string, n: number): string => `${job}:${n}`

export const dueAttempt = (job: string, attempt: number): DueMember => ({
  kind: 'attempt',
  member: `attempt:${attemptId(job, attempt)}`,
  job,
  attempt,
})

/** `effect`: its key in the outbox. */
export const dueEffect = (job: string, effect: string): DueMember => ({
  kind: 'effect',
  member: `effect:${job}:${effect}`,
  job,
  effect,
})

export const dueBatch = (batch: string): DueMember => ({ kind: 'batch', member: `batch:${batch}`, batch })

/** A row of the outbox of a tenant. */
export const dueNotice = (tenant: string, notice: string): DueMember => ({
  kind: 'owed',
  member: `owed:${tenant}:${notice}`,
  tenant,
  notice,
})

/** Prefix of kept files in the retention index, which names jobs and batches by their ids. */
const KEPT_FILES = 'files:'
export const keptFilesMember = (job: string): string => `${KEPT_FILES}${job}`
/** The job of a member of the retention index that names kept files; null for another member. */
export const keptFilesOf = (member: string): string | null =>
  member.startsWith(KEPT_FILES) ? member.slice(KEPT_FILES.length) : null

/** Empty for an unknown member, which is left alone. */
export function parseDueMember(member: string): DueMember[] {
  const [kind, id = '', ...rest] = member.split(':')
  // `member` keeps the exact name in the index, even when it is malformed.
  if (kind === 'batch') return [{ ...dueBatch(id), member }]
  if (kind === 'job') return [{ ...dueJob(id), member }]
  if (kind === 'attempt') return [{ ...dueAttempt(id, Number(rest[0])), member }]
  if (kind === 'owed') return [{ ...dueNotice(id, rest.join(':')), member }]
  if (kind === 'effect') return [{ ...dueEffect(id, rest.join(':')), member }]
  return []
}
