import { labeledJob, labelMembers } from '../jobs/record/label-member.ts'
import type { AuditSource, KeyNames } from './audit-source.ts'
import { problem, type Problem } from './rules/finding.ts'

/**
 * Reports members of the indexes by labels whose job does not exist or has no such label. `isSound`: a member of a job that
 * was read. `checkJob` reports jobs that lack some of their members.
 */
export async function checkLabels(
  source: AuditSource,
  { labels }: Pick<KeyNames, 'labels'>,
  isSound: (tenant: string, member: string) => boolean,
): Promise<Problem[]> {
  const problems: Problem[] = []
  for (const { key, tenant } of labels)
    for await (const page of source.members('zset', key))
      for (const member of page)
        if (!isSound(tenant, member)) problems.push(...(await checkMember(source, key, tenant, member)))
  return problems
}

async function checkMember(source: AuditSource, key: string, tenant: string, member: string): Promise<Problem[]> {
  const id = labeledJob(member)
  if (id === null) return [problem('index_member_exists', key, 'an unreadable member', [['zrem', key, member]])]
  const found = await source.load(id)
  if (found.kind !== 'job' && found.kind !== 'missing') return []
  const job = found.kind === 'job' ? found.loaded.state.job : null
  if (job?.tenant === tenant && labelMembers(job).includes(member)) return []
  const rev = job ? String(job.rev) : ''
  // It may have been removed correctly between the two reads.
  if (!(await source.holds('zset', key, member)) || (await source.revision(id)) !== rev) return []
  const why = job ? 'the job has no such label' : 'the job does not exist'
  return [problem('index_member_exists', id, `${key}: ${why}`, [['zrem', key, member]], { job: id, rev })]
}
