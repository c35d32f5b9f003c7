import { verifyBudgets, type BudgetSource } from '../credits/verify-budgets.ts'
import { verifyLedger, type LedgerSource } from '../credits/verify-ledger.ts'
import { parseFlightMember } from '../jobs/record/line-member.ts'
import { scopesOf } from '../jobs/rules/place.ts'
import type { AuditSource, KeyNames } from './audit-source.ts'
import { checkBatch } from './rules/check-batch.ts'
import type { CheckOptions } from './rules/check-job.ts'
import { problem, type Problem } from './rules/finding.ts'

/** Checks state that jobs share: batches, jobs in flight, ledgers of tenants. */

/** Checks every batch against its jobs. `skipped`: ids of batches of a newer release. */
export async function checkBatches(
  source: AuditSource,
  { batches, batchParts, tenantBatches }: KeyNames,
  options: CheckOptions,
): Promise<{ problems: Problem[]; skipped: string[] }> {
  const problems: Problem[] = []
  const skipped: string[] = []
  for (const id of batches) {
    const found = await source.loadBatch(id)
    if (found.kind === 'newer') skipped.push(id)
    if (found.kind === 'broken') problems.push(problem('record_readable', id, found.detail))
    if (found.kind === 'batch') problems.push(...checkBatch(found.loaded, options))
  }
  for (const [id, parts] of batchParts)
    if (!batches.has(id) && (await source.loadBatch(id)).kind === 'missing')
      for (const part of parts) problems.push(problem('record_complete', id, `its ${part} still exists`))
  for (const key of tenantBatches)
    for await (const page of source.members('zset', key))
      for (const id of page) if (!batches.has(id)) problems.push(...(await checkBatchMember(source, key, id, id)))
  return { problems, skipped }
}

/** Checks a member of the index `key` that names a batch. */
export async function checkBatchMember(
  source: AuditSource,
  key: string,
  member: string,
  id: string,
): Promise<Problem[]> {
  if ((await source.loadBatch(id)).kind !== 'missing') return []
  // The record and its index entries are removed together, so an entry without the record is left over.
  if (!(await source.holds('zset', key, member))) return []
  return [problem('index_member_exists', member, `${key}: the batch does not exist`, [['zrem', key, member]])]
}

/** Reports members of the index of jobs in flight that name no job of that scope. `checkJob` reports the others. */
export async function checkFlight(source: AuditSource, { keys }: CheckOptions): Promise<Problem[]> {
  const problems: Problem[] = []
  for await (const page of source.members('zset', keys.flight))
    for (const member of page) {
      const { scope, job: id } = parseFlightMember(member)
      const found = await source.load(id)
      if (found.kind === 'newer' || found.kind === 'broken') continue
      const job = found.kind === 'job' ? found.loaded.state.job : null
      if (job && scopesOf(job).includes(scope)) continue
      const rev = job ? String(job.rev) : ''
      if (!(await source.holds('zset', keys.flight, member)) || (await source.revision(id)) !== rev) continue
      const why = job ? 'a job of another scope' : 'the job does not exist'
      problems.push(problem('slots_match', id, `${scope}: ${why}`, [['zrem', keys.flight, member]], { job: id, rev }))
    }
  return problems
}

const INVARIANT_OF = { adds_up: 'credit_adds_up', hold_resolved: 'hold_resolved_once' } as const

/** Verifies every ledger, entry by entry. */
export async function checkLedgers(source: AuditSource, ledgers: LedgerSource): Promise<Problem[]> {
  const problems: Problem[] = []
  for (const tenant of await source.ledgers()) {
    const verdict = await verifyLedger(ledgers, tenant)
    problems.push(
      ...verdict.problems.map(({ rule, id, detail }) => problem(INVARIANT_OF[rule], `${tenant}:${id}`, detail)),
    )
  }
  return problems
}

/** Recounts the budgets from the ledgers. */
export async function checkBudgets(
  source: AuditSource,
  { budgetCounts }: KeyNames,
  budgets: BudgetSource,
): Promise<Problem[]> {
  const problems = await verifyBudgets(budgets, await source.ledgers(), budgetCounts)
  return problems.map(({ id, detail }) => problem('budget_counted', id, detail))
}
