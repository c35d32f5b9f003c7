import type { z } from 'zod'
import { keptFilesMember } from '../jobs/record/due-member.ts'
import type { JobKeys } from '../jobs/record/job-keys.ts'
import { keptFilesSchema } from '../jobs/rules/purge.ts'
import type { AuditSource, KeyNames } from './audit-source.ts'
import { problem, type Command, type Problem } from './rules/finding.ts'

/** Checks files that outlive the record of their job and wait for their clean-up. */

interface FilesOptions {
  source: Pick<AuditSource, 'text' | 'holds' | 'revision'>
  keys: JobKeys
}

/** Checks a member of the retention index that names kept files. */
export async function checkKeptMember({ source, keys }: FilesOptions, member: string, job: string): Promise<Problem[]> {
  const isThere = (await source.text(keys.keptFiles(job))) !== null
  // They may have been removed between the two reads.
  if (isThere || !(await source.holds('zset', keys.retention, member))) return []
  const fix: Command[] = [['zrem', keys.retention, member]]
  return [problem('index_member_exists', member, `${keys.retention}: no files are kept for this job`, fix)]
}

export async function checkKeptFiles({ keptFiles }: KeyNames, { source, keys }: FilesOptions): Promise<Problem[]> {
  const problems: Problem[] = []
  for (const job of keptFiles) {
    const member = keptFilesMember(job)
    const isDue = await source.holds('zset', keys.retention, member)
    const rev = await source.revision(job)
    const text = await source.text(keys.keptFiles(job))
    if (text === null) continue
    const kept = readKept(text)
    if (kept === null) problems.push(problem('record_readable', member, 'the record of kept files is unreadable'))
    if (rev !== '')
      problems.push(
        problem('record_complete', job, 'its files are recorded as outliving it, but its record still exists'),
      )
    if (kept !== null && !isDue) {
      const fix: Command[] = [['zadd', keys.retention, 'NX', String(kept.until), member]]
      problems.push(problem('retention', job, 'its files outlived it, but no clean-up is scheduled for them', fix))
    }
  }
  return problems
}

/** null: unreadable. */
export function readKept(text: string): z.output<typeof keptFilesSchema> | null {
  try {
    return keptFilesSchema.parse(JSON.parse(text))
  } catch {
    return null
  }
}
