import { describe, expect, test } from 'vitest'
import type { Health } from '../../src/client/types.ts'
import { counted } from '../../src/studio/format.ts'
import { findingsOf, webhookStatus } from '../../src/studio/health/health-labels.ts'
import { untilLabel } from '../../src/studio/run-labels.ts'

const allowance = { per_minute: 600, burst: 10, free: 10 }
const HEALTH: Health = {
  accounts: [],
  jobs: {},
  predictions_open: 0,
  finished_by: {},
  webhooks: { expected: true, silent: false, latency: null, dead_letters: 0 },
  budget: {
    creates: { ...allowance, ceiling: 600, quiet_since: null, throttled: 0, throttled_probing: 0 },
    reads: allowance,
  },
  pause: null,
  conditions: [],
  waiting: { looked_at: 0, reasons: [] },
  artifacts_at_risk: 0,
  outcomes_unknown: 0,
  orphan_predictions: 0,
  due: { waiting: 0, overdue: 0 },
}
const health = (changes: Partial<Health>): Health => ({ ...HEALTH, ...changes })
const readiness = (checks: Record<string, { ok: boolean; detail: string }>) => ({
  status: 'ready',
  version: null,
  checks,
})
const WELL = readiness({})

describe('the webhook status on the health page', () => {
  const latency = { count: 1, p50: 1, p90: 1, max: 1 }
  test.each<[string, Partial<Health>, string]>([
    ['when none ever came', {}, 'No webhook has arrived yet.'],
    ['when this process took one', { webhooks: { ...HEALTH.webhooks, latency } }, 'Webhooks arrive.'],
    ['when another process took some', { finished_by: { webhook: 3, poll: 1 } }, 'Webhooks arrive.'],
    ['when only polls found completions', { finished_by: { poll: 3 } }, 'No webhook has arrived yet.'],
    [
      'when none can come',
      { webhooks: { ...HEALTH.webhooks, expected: false } },
      'Runs are completed by polling: PUBLIC_URL is not set.',
    ],
  ])('%s', (_when, changes, label) => {
    expect(webhookStatus(health(changes))).toBe(label)
  })
})

describe('findings', () => {
  const refused: Health['conditions'][number] = {
    name: 'token_refused',
    title: 'Replicate refuses the API token.',
    detail: 'status 401',
    since: '2026-01-01T00:00:00.000Z',
    processes: 1,
    stops_creation: true,
  }

  test('a condition is one finding, with its own texts and the number of reporting processes', () => {
    expect(findingsOf(health({ conditions: [refused] }), WELL)).toEqual([
      { what: 'Replicate refuses the API token.', todo: 'Status 401.' },
    ])
    expect(findingsOf(health({ conditions: [{ ...refused, processes: 2 }] }), WELL)).toEqual([
      { what: 'Replicate refuses the API token.', todo: 'Status 401. 2 processes report it.' },
    ])
  })

  test('a refused token is one finding, although it pauses creation too', () => {
    const pause = { reason: 'account', until: null } as const
    expect(findingsOf(health({ pause, conditions: [{ ...refused, name: 'pause_account' }, refused] }), WELL)).toEqual([
      { what: 'Replicate refuses the API token.', todo: 'Status 401.' },
    ])
  })

  test('conditions shown elsewhere are not repeated', () => {
    const pause = { reason: 'account', until: null } as const
    const conditions = ['pause_account', 'redis_unfit', 'storage_failing', 'webhooks_silent', 'outputs_at_risk'].map(
      (name) => ({ ...refused, name }),
    )
    const checks = readiness({
      creation: { ok: false, detail: 'Creation is paused' },
      redis: { ok: false, detail: 'appendonly is off' },
    })
    expect(findingsOf(health({ pause, conditions }), checks)).toEqual([
      { what: 'Redis is failing.', todo: 'appendonly is off' },
      {
        what: 'Creation is paused: Replicate refuses the account.',
        todo: 'Check the token and the credit at Replicate.',
      },
    ])
  })

  test('completions detected by polling are no finding when no webhook is expected', () => {
    const polled = { finished_by: { poll: 50 }, webhooks: { ...HEALTH.webhooks, silent: true } }
    expect(findingsOf(health(polled), WELL).map(({ what }) => what)).toEqual(['No webhooks arrive.'])
    const webhooks = { ...polled.webhooks, expected: false }
    expect(findingsOf(health({ ...polled, webhooks }), WELL)).toEqual([])
  })
})

describe('the end of a wait', () => {
  test.each([
    ['rate_limited', 'Resumes in about 24 s.', 'Resumes any moment.'],
    // The check may find the same cause again.
    ['account', 'Next check in 24 s.', 'Being checked now.'],
    ['upstream', 'Next check in 24 s.', 'Being checked now.'],
    ['stop', 'For at most 24 s more.', 'For a moment more.'],
  ] as const)('of the reason %s: %s', (reason, before, after) => {
    expect(untilLabel(reason, 24_000)).toBe(before)
    expect(untilLabel(reason, -1)).toBe(after)
  })
})

test('one thing is not "1 things"', () => {
  expect([counted(1, 'prediction'), counted(2, 'prediction'), counted(0, 'run')]).toEqual([
    '1 prediction',
    '2 predictions',
    '0 runs',
  ])
})
