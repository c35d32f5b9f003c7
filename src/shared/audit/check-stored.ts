import { isDeepStrictEqual } from 'node:util'
import type { JobKeys } from '../jobs/record/job-keys.ts'
import type { AuditSource, StoredCount } from './audit-source.ts'
import { problem, type Problem } from './rules/finding.ts'
import { correctStored, inWords } from './rules/correct-stored.ts'

/** Compares what tenants have stored, as counted for their quota, with a recount. */

/** Recounts of a tenant whose count changes meanwhile. */
const ROUNDS = 5

const NOTHING: StoredCount = { bytes: 0, files: 0, changes: 0 }

/**
 * Compares the count of each tenant with the amounts that its records say they count. A tenant whose count changed during
 * a recount is recounted; a tenant whose count changes during all of them is not compared.
 */
export async function checkStored(
  source: Pick<AuditSource, 'stored' | 'countedBy' | 'names'>,
  keys: JobKeys,
): Promise<Problem[]> {
  const problems: Problem[] = []
  const settled = new Set<string>()
  for (let round = 0; round < ROUNDS; round++) {
    const before = await source.stored()
    const recount = await source.countedBy(await source.names())
    const after = await source.stored()
    const tenants = new Set([...before.keys(), ...after.keys(), ...recount.keys()])
    for (const tenant of tenants) {
      const count = after.get(tenant) ?? NOTHING
      if (settled.has(tenant) || !isDeepStrictEqual(before.get(tenant) ?? NOTHING, count)) continue
      settled.add(tenant)
      const { bytes, files } = recount.get(tenant) ?? NOTHING
      if (bytes === count.bytes && files === count.files) continue
      const detail = `the count says ${inWords(count)}, the records say ${inWords({ bytes, files })}`
      problems.push(problem('stored_counted', tenant, detail, correctStored(keys, tenant, count, { bytes, files })))
    }
    if (settled.size === tenants.size) break
  }
  return problems
}
