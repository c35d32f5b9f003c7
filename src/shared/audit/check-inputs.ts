import type { ArtifactStore } from '../artifacts/artifact-store.ts'
import { filesOf } from '../inputs/rules/reference.ts'
import type { JobKeys } from '../jobs/record/job-keys.ts'
import type { JobRecord } from '../jobs/rules/job.ts'
import type { AuditSource, KeyNames } from './audit-source.ts'
import { compareFile } from './compare-file.ts'
import { correctStored, countsOtherwise } from './rules/correct-stored.ts'
import { problem, type Command, type Invariant, type Problem } from './rules/finding.ts'

/** Checks the files that inputs name: each is kept, lists its users, and has a due time. */

const NONE = { bytes: 0, files: 0 }

interface InputChecks {
  source: Pick<AuditSource, 'upload' | 'revision' | 'now' | 'members' | 'holds'>
  keys: JobKeys
  /** When present, files are read and compared. */
  artifacts: Pick<ArtifactStore, 'open'> | undefined
}

export async function checkInputs(job: JobRecord, { source, keys, artifacts }: InputChecks): Promise<Problem[]> {
  const problems: Problem[] = []
  const guard = { job: job.id, rev: String(job.rev) }
  for (const id of filesOf(job.input).keys()) {
    const wrong: [detail: string, fix: Command[]][] = []
    const upload = await source.upload(id, job.id)
    if (upload === null || upload.state !== 'ready' || upload.tenant !== job.tenant)
      wrong.push(['the upload is missing', []])
    else {
      if (!upload.isUsed)
        wrong.push(['the upload does not list the job as a user', [['sadd', keys.uploadJobs(id), job.id]]])
      const difference = artifacts ? await compareFile(artifacts, upload) : null
      if (difference !== null) wrong.push([difference, []])
    }
    // Retention clears the input before it removes the input's files.
    if (wrong.length === 0 || (await source.revision(job.id)) !== guard.rev) continue
    for (const [detail, fix] of wrong) problems.push(problem('input_kept', job.id, `${id}: ${detail}`, fix, guard))
  }
  return problems
}

/** Checks every upload, and everything that names one. */
export async function checkUploads({ uploads, uploadParts }: KeyNames, checks: InputChecks): Promise<Problem[]> {
  const { source, keys } = checks
  const problems: Problem[] = []
  const say = (invariant: Invariant, id: string, detail: string, fix: Command[] = []): void =>
    void problems.push(problem(invariant, id, detail, fix))
  for (const id of uploads) {
    const upload = await source.upload(id, null)
    if (upload === null) continue
    if (!upload.isDue)
      say('due', id, 'the upload has no due time', [['zadd', keys.uploads, String(await source.now()), id]])
    if (upload.state !== 'ready' || upload.isCounted) continue
    const amount = { bytes: upload.bytes, files: 1 }
    const fix: Command[] = [
      ['hset', keys.upload(id), 'counted', '1'],
      ...correctStored(keys, upload.tenant, NONE, amount),
    ]
    problems.push(problem('stored_counted', id, countsOtherwise(NONE, amount), fix, { uncounted: id }))
  }
  for (const id of uploadParts)
    if (!uploads.has(id) && (await source.upload(id, null)) === null)
      say('record_complete', id, 'its list of jobs still exists', [['del', keys.uploadJobs(id)]])
  for await (const page of source.members('zset', keys.uploads))
    for (const id of page)
      if (
        !uploads.has(id) &&
        (await source.upload(id, null)) === null &&
        (await source.holds('zset', keys.uploads, id))
      )
        say('index_member_exists', id, `${keys.uploads}: the upload does not exist`, [['zrem', keys.uploads, id]])
  for await (const page of source.members('zset', keys.files))
    for (const member of page) {
      const id = member.slice(member.indexOf('/') + 1)
      if (
        !uploads.has(id) &&
        (await source.upload(id, null)) === null &&
        (await source.holds('zset', keys.files, member))
      )
        say('index_member_exists', id, `${keys.files}: the upload does not exist`, [['zrem', keys.files, member]])
    }
  return problems
}
