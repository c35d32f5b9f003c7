import { expect, test } from 'vitest'
import type { StoredCount } from '../../src/shared/audit/audit-source.ts'
import { checkStored } from '../../src/shared/audit/check-stored.ts'
import { createJobKeys } from '../../src/shared/jobs/record/job-keys.ts'
import { noKeyNames } from '../../src/shared/audit/rules/key-names.ts'

/** A source that reports these counts of the tenant `t` one after the other, and the last one from then on. */
async function found(counts: StoredCount[], recount: { bytes: number; files: number }) {
  let reads = 0
  const problems = await checkStored(
    {
      stored: () => Promise.resolve(new Map([['t', counts[Math.min(reads++, counts.length - 1)] ?? count(0)]])),
      names: () => Promise.resolve(noKeyNames()),
      countedBy: () => Promise.resolve(new Map([['t', recount]])),
    },
    createJobKeys('unit'),
  )
  return { reads, details: problems.map(({ detail }) => detail) }
}

const count = (changes: number, bytes = 10): StoredCount => ({ bytes, files: 1, changes })

test('a tenant that stores files during a recount is recounted', async () => {
  const { reads, details } = await found([count(1), count(2), count(2)], { bytes: 8, files: 1 })
  expect(reads).toBe(4)
  expect(details).toEqual(['the count says 10 bytes in 1 files, the records say 8 bytes in 1 files'])
})

test('a tenant whose count changes during every recount is not compared', async () => {
  const busy = Array.from({ length: 20 }, (_, i) => count(i))
  expect((await found(busy, { bytes: 8, files: 1 })).details).toEqual([])
})

test('files that were added and removed during a recount disturb it, although the sum is the same', async () => {
  expect((await found([count(1), count(3), count(3)], { bytes: 10, files: 1 })).reads).toBe(4)
})

test('a tenant without a count is compared too', async () => {
  expect((await found([count(0, 0)], { bytes: 8, files: 1 })).details).toHaveLength(1)
})
