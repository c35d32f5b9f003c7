import { expect, test } from 'vitest'
import { createShareCount } from '../../src/shared/audit/rules/recount-shares.ts'
import { acceptedAt } from '../../src/shared/jobs/rules/place.ts'
import { newAttempt } from '../../src/shared/jobs/rules/job.ts'
import { jobRecord } from './support/job-states.ts'

const ID = jobRecord('queued').id
const READY = acceptedAt(ID)
const begun = (after: number) => [{ ...newAttempt(1), intended_at: READY + after }]

test('what tenants have had of the creates follows from the records of their jobs', () => {
  const shares = createShareCount()
  const add = (changes: Partial<ReturnType<typeof jobRecord>>, attempts: ReturnType<typeof begun> = []): void =>
    shares.add({ job: { ...jobRecord('queued'), tenant: 'b', ...changes }, attempts }, READY + 9000)
  add({ phase: 'succeeded', completed_at: READY + 8000, estimate: 2_000_000 }, begun(500))
  add({ phase: 'running', estimate: 1_000_000 }, begun(4000))
  // Since its start time, not since its acceptance.
  add({ not_before: READY + 7000 }, begun(7100))
  add({ priority: 'batch' })
  // Canceled before it began.
  add({ phase: 'canceled', completed_at: READY + 100 })
  add({ tenant: 'a' }, begun(10))
  expect(shares.all()).toEqual([
    { tenant: 'a', priority: 'interactive', begun: 1, waiting: 0, cost: 0, worst_wait: 10 },
    { tenant: 'b', priority: 'batch', begun: 0, waiting: 1, cost: 0, worst_wait: 9000 },
    { tenant: 'b', priority: 'interactive', begun: 3, waiting: 0, cost: 3, worst_wait: 4000 },
  ])
})
