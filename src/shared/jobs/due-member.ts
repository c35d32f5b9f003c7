/** What the due index holds: what has to be looked at, and by which name it stands there. */
export type DueMember =
  | { kind: 'job'; member: string; job: string }
  | { kind: 'attempt'; member: string; job: string; attempt: number }
  | { kind: 'effect'; member: string; job: string; effect: string }
  | { kind: 'batch'; member: string; batch: string }

export const dueJob = (job: string): DueMember => ({ kind: 'job', member: `job:${job}`, job })

export const dueAttempt = (job: string, attempt: number): DueMember => ({
  kind: 'attempt',
  member: `attempt:${job}:${attempt}`,
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

/** The index of clean-ups names kept files so, jobs and batches by their ids. */
const KEPT_FILES = 'files:'
export const keptFilesMember = (job: string): string => `${KEPT_FILES}${job}`
/** The job whose files a member of the index of clean-ups names; null: it names something else. */
export const keptFilesOf = (member: string): string | null =>
  member.startsWith(KEPT_FILES) ? member.slice(KEPT_FILES.length) : null

/** None when it is not ours; it is left alone then. */
export function parseDueMember(member: string): DueMember[] {
  const [kind, id = '', ...rest] = member.split(':')
  // Whatever was made of it, it is found by the name under which it stands there.
  if (kind === 'batch') return [{ ...dueBatch(id), member }]
  if (kind === 'job') return [{ ...dueJob(id), member }]
  if (kind === 'attempt') return [{ ...dueAttempt(id, Number(rest[0])), member }]
  if (kind === 'effect') return [{ ...dueEffect(id, rest.join(':')), member }]
  return []
}
