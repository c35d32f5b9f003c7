import type { CommitScriptInput } from './commit-script.ts'
import { isMoment, type AttemptChanges } from '../rules/decision.ts'
import type { HistoryLine } from '../rules/history.ts'
import { encodeHistory } from '../record/history-line.ts'
import type { JobKeys } from '../record/job-keys.ts'
import {
  ATTEMPT_FIELDS,
  DEFAULT_ACCOUNT,
  DOCUMENTS,
  JOB_FIELDS,
  keepsLogs,
  type AttemptRecord,
  type JobRecord,
  type JobState,
} from '../rules/job.ts'
import { pauseScopesOf } from '../rules/place.ts'
import { splitInput } from '../rules/long-input.ts'
import { fold } from '../record/fold.ts'
import { commitField, encodeDocument, encodeField, historyLines, GUARDED_VERSION } from '../record/record-codec.ts'
import { placeOf, present } from '../record/record-fields.ts'

/** Plans the writes of a commit to the record itself (format: record-codec.ts). */

type Changes = [field: string, value: unknown][]

function setFields(input: CommitScriptInput, key: string, prefix: string, changes: Changes): void {
  const plain: string[] = []
  for (const [field, value] of changes) {
    if (isMoment(value)) input.setMoment(key, prefix + field, value)
    else plain.push(prefix + field, encodeField(field, value))
  }
  if (plain.length > 0) input.add('hset', key, ...plain)
}

/** Rewrites every document with a changed field. */
function setJob(input: CommitScriptInput, keys: JobKeys, changes: Changes, after: JobRecord): void {
  const inHash = changes.filter(([field]) => placeOf(field) === 'hash')
  setFields(input, keys.job(after.id), '', inHash)
  for (const document of DOCUMENTS)
    if (changes.some(([field]) => placeOf(field) === document))
      input.add('set', keys[document](after.id), encodeDocument(document, after))
}

/** Fields that are also written outside of commits, so that the loaded value may be outdated. */
const LOSSY: ReadonlySet<string> = new Set<keyof JobRecord>(['progress'])

/** Leaves out unchanged fields; lists and objects count as changed. */
const news = (before: object, changes: object): Changes =>
  Object.entries(changes).filter(
    ([field, value]) => value !== undefined && (value !== Reflect.get(before, field) || LOSSY.has(field)),
  )

/** `changes`: those of the decision; `after`: the job with the changes, for the documents. */
export function writeJob(
  input: CommitScriptInput,
  keys: JobKeys,
  before: JobRecord,
  changes: object,
  after: JobRecord,
): void {
  setJob(input, keys, news(before, changes), after)
  if (after.account !== before.account && after.account !== DEFAULT_ACCOUNT)
    input.add('hset', keys.job(after.id), 'v', GUARDED_VERSION)
}

/** Writes a new record, created at the time of the commit; the script writes its revision. A long input is kept beside it. */
export function writeNewJob(input: CommitScriptInput, keys: JobKeys, whole: JobRecord): void {
  const { job, beside } = splitInput(whole)
  const fields = present(JOB_FIELDS, { ...job, created_at: { in: 0 }, start_since: { in: 0 } })
  setJob(
    input,
    keys,
    fields.filter(([field]) => field !== 'rev'),
    job,
  )
  const clocks = input.indexOf(keys.pauseClocks)
  input.add('hset_paused', keys.job(job.id), clocks, 'start_paused', ...pauseScopesOf(job))
  if (beside !== null || job.webhook !== null || job.account !== DEFAULT_ACCOUNT)
    input.add('hset', keys.job(job.id), 'v', GUARDED_VERSION)
  if (beside !== null) input.add('set', keys.input(job.id), beside)
}

export function writeAttempt(
  input: CommitScriptInput,
  keys: JobKeys,
  job: string,
  before: AttemptRecord | undefined,
  { n, changes }: { n: number; changes: AttemptChanges },
): void {
  const written = before ? news(before, changes) : present(ATTEMPT_FIELDS, changes)
  setFields(input, keys.job(job), `${n}.`, written)
}

/** Number of revisions in the history. */
const KEEP_HISTORY = 100

export function writeLine(input: CommitScriptInput, keys: JobKeys, job: string, rev: number, line: HistoryLine): void {
  input.add('hset_line', keys.job(job), `h${rev}`, encodeHistory(line))
  if (rev > KEEP_HISTORY) input.add('hdel', keys.job(job), `h${rev - KEEP_HISTORY}`)
}

/** Deletes every key of one job; `job`: its record, if that is known. */
export function deleteRecord(
  input: CommitScriptInput,
  keys: JobKeys,
  id: string,
  job: Pick<JobRecord, 'via' | 'input_bytes'> | null = null,
): CommitScriptInput {
  const besides = [
    ...(job === null || keepsLogs(job) ? [keys.logs(id)] : []),
    ...(job === null || job.input_bytes !== null ? [keys.input(id)] : []),
  ]
  return [...keys.documents(id), ...besides, keys.outbox(id), keys.job(id)].reduce(
    (all, key) => all.add('del', key),
    input,
  )
}

/**
 * Replaces a record by its folded value (record/fold.ts). `hash`: the fields of its hash at the revision of `state`. False: it
 * cannot be folded, and nothing is planned.
 */
export function writeFolded(
  input: CommitScriptInput,
  keys: JobKeys,
  state: JobState,
  hash: readonly string[],
): boolean {
  const { id, rev } = state.job
  const names = hash.filter((_, at) => at % 2 === 0)
  const folding = fold(state, { names, lines: historyLines(hash), newest: commitField(rev + 1) })
  if (folding === null) return false
  if (folding.remove.length > 0) input.add('hdel', keys.job(id), ...folding.remove)
  input.add('hset', keys.job(id), ...folding.set.flat())
  for (const document of DOCUMENTS) input.add('del', keys[document](id))
  return true
}
