import { amountOf } from '../../limits/rules/stored.ts'
import type { Consequence } from './consequence.ts'
import { keepsLogs, type JobState } from './job.ts'
import { labelsOf } from './job-filter.ts'
import { owesRecord, type Purge, type PurgePart } from './purge.ts'
import { inputHash } from './run-facts.ts'

/** Everything that the removal of a final job, or of parts of it, changes. It is no transition: no history, no event. */
export function purgeConsequences(state: JobState, purge: Purge): Consequence[] {
  const { job, attempts } = state
  const goes = (part: PurgePart): boolean => purge.remove === 'record' || purge.parts.includes(part)
  const references: Consequence[] = []
  if (goes('index'))
    for (const { prediction_id: prediction, account } of attempts)
      if (prediction !== null) references.push({ kind: 'prediction_forgotten', account, prediction })
  if (goes('entry') && job.idempotency !== null)
    references.push({ kind: 'idempotency_forgotten', entry: job.idempotency })
  if (purge.remove === 'record') return [...references, ...recordRemoval({ job, attempts }, purge)]
  return [...references, ...partsRemoval(state, purge.parts), { kind: 'clean_up', at: purge.next }]
}

/** Without its payload, of which the digest of the input stays, the record is folded, unless it owes something. */
function partsRemoval(state: JobState, parts: readonly PurgePart[]): Consequence[] {
  const { job } = state
  const hasPayload = job.input !== null || job.output !== null
  const losesPayload = hasPayload && parts.includes('payload')
  if (hasPayload && !losesPayload) return []
  const isLong = job.input_bytes !== null
  const changes = {
    ...(losesPayload ? { input: null, output: null, input_sha256: inputHash(job) } : {}),
    ...(losesPayload && isLong ? { input_bytes: null } : {}),
    ...(parts.includes('entry') ? { idempotency: null } : {}),
  }
  const after = { ...job, ...changes }
  const besides: Consequence[] = []
  if (losesPayload && isLong) besides.push({ kind: 'input_removed' })
  if (losesPayload && keepsLogs(job)) besides.push({ kind: 'logs', text: '' })
  if (!owesRecord(state)) return [...besides, { kind: 'job_folded', changes, after }]
  return losesPayload ? [...besides, { kind: 'job', changes, after }] : []
}

function recordRemoval(
  { job, attempts }: Pick<JobState, 'job' | 'attempts'>,
  { early, kept }: Purge & { remove: 'record' },
): Consequence[] {
  const amount = amountOf(job.artifacts)
  const all: Consequence[] = []
  if (early)
    for (const { account, prediction_id, orphans } of attempts)
      for (const prediction of prediction_id === null ? orphans : [prediction_id, ...orphans])
        all.push({ kind: 'prediction_foreign', account, prediction })
  // Files that are kept forever no longer count: nothing refers to them.
  if (amount.files > 0) all.push({ kind: 'stored', ...(kept ? amount : { bytes: 0, files: 0 }) })
  if (kept) all.push({ kind: 'files_kept', kept: kept.files, until: kept.until, ...amount })
  const labels = labelsOf(job)
  if (labels.length > 0) all.push({ kind: 'labels_forgotten', labels })
  all.push({ kind: 'record_removed' })
  return all
}
