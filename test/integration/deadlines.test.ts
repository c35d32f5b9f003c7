import { afterAll, beforeAll, expect, test } from 'vitest'
import { finished } from '../support/finished.ts'
import { startService, type TestService } from '../support/start-service.ts'

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'

let service: TestService
beforeAll(async () => {
  // Nobody looks at a waiting job again for an hour.
  const ringAgain = { min: 3_600_000, max: 3_600_000 }
  service = await startService({
    timings: { ringAgain },
    env: { REPLICATE_CREATES_PER_MINUTE: '1', REPLICATE_CREATE_BURST: '1' },
  })
})
afterAll(() => service.stop())

test('a job that cannot be started in time fails then, not when it would have been looked at anyway', async () => {
  const first = await service.client.submit({ version: HELLO, input: { text: 'takes the only token' } })
  expect((await finished(service, first.id)).status).toBe('succeeded')
  const begun = performance.now()
  const late = await service.client.submit({ version: HELLO, input: { text: 'too late' }, start_within: 1 })
  const job = await finished(service, late.id)
  expect(job).toMatchObject({
    status: 'failed',
    attempt: 0,
    error: { code: 'start_within_expired', retryable: true, billed: 'no' },
  })
  expect(performance.now() - begun).toBeGreaterThan(900)
  const mine = (await service.simulator.books()).predictions.filter(({ webhook }) => webhook?.includes(late.id))
  expect(mine).toEqual([])
})
