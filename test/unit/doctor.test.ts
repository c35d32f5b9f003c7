import { describe, expect, test } from 'vitest'
import { judgeRun } from '../../src/cli/doctor-prediction.ts'
import type { HistoryEntry, Job } from '../../src/client/types.ts'
import { accountChecks, ofAccounts } from '../../src/shared/doctor/account-checks.ts'
import type { Seen } from '../../src/shared/conditions/watch-upstream.ts'
import { CHECK_NAMES, failed, ok, skipped, warning, worst, type Finding } from '../../src/shared/doctor/rules/check.ts'
import { judgeBuffering, judgeLargeProbe, judgeProbe } from '../../src/shared/doctor/rules/judge-probe.ts'
import { PROBE_PAUSE_MS, type ProbeReply, type SentProbe } from '../../src/shared/doctor/rules/probe.ts'
import { runChecks, single, type CheckGroup } from '../../src/shared/doctor/run-checks.ts'
import type { CreateRate, Pause } from '../../src/shared/jobs/ports.ts'

const AT = Date.parse('2026-06-01T12:00:00.000Z')
const sent: SentProbe = {
  probe: 'probe_01KGX5Q8Z2V7M4N6P9R3S5T8W1',
  url: 'https://queue.example.com/webhooks/replicate?job=probe_01KGX5Q8Z2V7M4N6P9R3S5T8W1&attempt=1&token=secret',
  bytes: 120,
  sha256: 'a',
  at: AT,
  signed: true,
  generation: 'g',
}
type Answered = Extract<ProbeReply, { kind: 'answered' }>
const arrived: Answered = {
  kind: 'answered',
  status: 202,
  location: null,
  server: '',
  text: '',
  arrival: {
    probe: sent.probe,
    at: new Date(AT).toISOString(),
    bytes: 120,
    sha256: 'a',
    signature: 'valid',
    generation: 'g',
  },
  ms: 30,
  gap: PROBE_PAUSE_MS,
}
const none = (code: string): ProbeReply => ({ kind: 'none', code, message: `it was ${code}`, ms: 10 })

describe('a reply to a probe', () => {
  test('never shows the token of the URL', () => {
    const moved = { ...arrived, status: 308, arrival: null, location: `${sent.url}#part` }
    for (const reply of [arrived, none('ENOTFOUND'), { ...moved, status: 404, location: null }, moved])
      expect(JSON.stringify([judgeProbe(sent, reply), judgeLargeProbe(sent, reply)])).not.toContain('secret')
  })

  test.each([
    ['ENOTFOUND', 'does not resolve'],
    ['EAI_AGAIN', 'DNS server'],
    ['ECONNREFUSED', 'refuses connections'],
    ['UND_ERR_SOCKET', 'closed the connection'],
    ['UND_ERR_CONNECT_TIMEOUT', 'cannot be reached'],
    ['UND_ERR_HEADERS_TIMEOUT', 'did not respond in time'],
    ['CERT_HAS_EXPIRED', 'has expired'],
    ['CERT_NOT_YET_VALID', 'not valid yet'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'for another name'],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'not signed by a public authority'],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'intermediate certificate'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'No TLS connection'],
    ['EWHATEVER', 'it was EWHATEVER'],
  ])('%s is explained', (code, words) => {
    const finding = judgeProbe(sent, none(code))
    expect(finding).toMatchObject({ state: 'failed', details: { error: code } })
    expect(finding.seen).toContain(words)
    expect(finding.todo).not.toBe('')
  })

  test.each([
    [304, '', null, 'redirects (304) to another address'],
    [411, '', null, 'Content-Length'],
    [413, '', null, 'a body of 120 bytes is refused'],
    [429, '{"code":"too_many_attempts"}', null, 'has refused too many webhooks'],
    [503, '{"code":"unavailable"}', null, 'cannot use Redis'],
    [503, '{"code":"capacity"}', null, 'no room'],
    [400, '{"code":"invalid_header"}', null, '`invalid_header`'],
    [521, '', null, 'does not reach the api'],
    [418, '', null, 'something else than genqueue'],
  ])('%i %s is explained', (status, text, location, words) => {
    const finding = judgeProbe(sent, { ...arrived, status, text, location, arrival: null })
    expect([finding.state, finding.seen]).toEqual(['failed', expect.stringContaining(words)])
  })

  test('that took long is a warning, one of a cache and an api without a secret are failures', () => {
    expect(judgeProbe(sent, { ...arrived, ms: 6_000 })).toMatchObject({ state: 'warning' })
    const other = { ...arrived.arrival, probe: 'probe_01KGX5Q8Z2V7M4N6P9R3S5T8W2' } as NonNullable<Answered['arrival']>
    expect(judgeProbe(sent, { ...arrived, arrival: other }).seen).toContain('another request')
    const unverified = { ...other, probe: sent.probe, signature: 'no_secret' as const }
    expect(judgeProbe(sent, { ...arrived, arrival: unverified }).todo).toContain('REPLICATE_API_TOKEN')
  })

  test('counts as buffered only if it is so every time', () => {
    const atOnce = { ...arrived, gap: 1 }
    expect(judgeBuffering([atOnce, atOnce]).state).toBe('warning')
    expect(judgeBuffering([atOnce, arrived]).state).toBe('ok')
    expect(judgeBuffering([none('ECONNRESET')]).state).toBe('skipped')
  })
})

describe('the checks of several accounts', () => {
  const group = (replicate: Finding): CheckGroup => ({
    names: ['replicate'],
    within: 1000,
    run: () => Promise.resolve({ replicate }),
  })
  const good = ok('it responds.', { host: 'r' })
  const bad = failed('it refuses the token.', 'Correct it.', { host: 'r' })

  test('are those of the account where there is one', async () => {
    expect(await ofAccounts(new Map([['default', group(bad)]])).run()).toEqual({ replicate: bad })
  })

  test('are the worst of them, with the names of the accounts', async () => {
    const both = async (one: Finding, other: Finding) =>
      ofAccounts(
        new Map([
          ['default', group(one)],
          ['second', group(other)],
        ]),
      ).run()
    expect(await both(good, bad)).toEqual({
      replicate: {
        state: 'failed',
        seen: 'Account second: it refuses the token.',
        todo: 'Correct it.',
        details: { host: 'r', accounts: 2 },
      },
    })
    expect((await both(good, good)).replicate?.seen).toBe('Account default: it responds. Account second: it responds.')
  })
})

describe('the account', () => {
  const rate = { perMinute: 600, burst: 10, free: 10, ceiling: 600, quietSince: null, throttled: 0, probing: 0 }
  const check = async (
    seen: Seen | null,
    pause: Pause | null,
    token: string | null = 'r8_x',
    changes: Partial<CreateRate> = {},
  ) => {
    const found = await accountChecks({
      account: () => Promise.resolve(),
      seen: () => seen,
      pause: () => Promise.resolve(pause),
      rate: () => Promise.resolve({ ...rate, ...changes }),
      token,
      baseUrl: 'https://api.replicate.com/v1',
    }).run()
    return [found.replicate?.state, found.credit?.state]
  }
  const answered = (status: number): Seen => ({ kind: 'answered', status, date: null })
  const paused = (reason: Pause['reason']): Pause => ({ reason, until: null })

  test.each<[what: string, seen: Seen | null, pause: Pause | null, states: string[]]>([
    ['is right', answered(200), null, ['ok', 'ok']],
    ['has no credit', answered(200), paused('account'), ['ok', 'failed']],
    ['has little credit', answered(200), paused('rate_limited'), ['ok', 'warning']],
    ['is refused, which says nothing of its credit', answered(401), paused('account'), ['failed', 'skipped']],
    ['has to pay', answered(402), null, ['failed', 'skipped']],
    ['asks too much', answered(429), null, ['warning', 'skipped']],
    ['fails', answered(500), null, ['failed', 'skipped']],
    ['is away', { kind: 'unanswered', reason: 'ENOTFOUND' }, null, ['failed', 'skipped']],
    ['was not asked', null, null, ['failed', 'skipped']],
  ])('%s', async (_what, seen, pause, states) => {
    expect(await check(seen, pause)).toEqual(states)
  })

  test('creates less than the budget, after a 429', async () => {
    const lowered = { perMinute: 6, quietSince: 1 }
    expect(await check(answered(200), null, 'r8_x', lowered)).toEqual(['ok', 'warning'])
  })

  test('of the simulator has no credit', async () => {
    expect(await check(answered(200), null, null)).toEqual(['ok', 'skipped'])
  })
})

describe('a real prediction', () => {
  const job = { id: 'job_1', prediction_id: 'p1', created_at: '2026-06-01T12:00:00.000Z', cost: null, error: null }
  const judge = (status: string, causes: [phase: string, cause: string][], isPolling = false) =>
    judgeRun(
      { ...job, status, completed_at: '2026-06-01T12:00:04.000Z' } as unknown as Job,
      causes.map(([phase, cause]) => ({ phase, cause })) as unknown as HistoryEntry[],
      isPolling,
    )
  const begun: [string, string][] = [
    ['queued', 'api'],
    ['created', 'create'],
  ]

  test.each<[what: string, causes: [string, string][], isPolling: boolean, state: string, words: string]>([
    [
      'its webhook',
      [...begun, ['storing', 'webhook'], ['succeeded', 'worker']],
      false,
      'ok',
      'its webhook finished it',
    ],
    ['a poll', [...begun, ['succeeded', 'poll']], false, 'warning', 'no webhook arrived'],
    ['a list', [...begun, ['running', 'webhook'], ['succeeded', 'list']], false, 'warning', 'a webhook arrived before'],
    ['a poll, as expected', [...begun, ['succeeded', 'poll']], true, 'ok', 'there are no webhooks'],
    ['its create', [['succeeded', 'create']], false, 'ok', 'within its create request'],
  ])('finished by %s', (_what, causes, isPolling, state, words) => {
    const finding = judge('succeeded', causes, isPolling)
    expect([finding.state, finding.seen]).toEqual([state, expect.stringContaining(words)])
  })

  test('that did not succeed is a failure', () => {
    expect(judge('canceled', [...begun, ['canceled', 'api']])).toMatchObject({
      state: 'failed',
      seen: 'The prediction did not succeed. It is canceled after 4.0 s.',
    })
  })
})

describe('checks', () => {
  test('that throw or hang have failed, and the order is that of the list', async () => {
    const results = await runChecks([
      single('storage', () => ok('yes')),
      single('redis', () => Promise.reject(new Error('broken'))),
      single('clocks', () => new Promise(() => undefined), 5),
      { names: ['webhook_probe', 'webhook_body'], within: 100, run: async () => ({ webhook_probe: skipped('no') }) },
    ])
    expect(results.map(({ name, state }) => [name, state])).toEqual([
      ['redis', 'failed'],
      ['clocks', 'failed'],
      ['storage', 'ok'],
      ['webhook_probe', 'skipped'],
    ])
    expect(results[0]?.seen).toContain('broken')
  })

  test('have the state of the worst', () => {
    expect(worst([ok(''), skipped('')])).toBe('ok')
    expect(worst([ok(''), warning('', '')])).toBe('warning')
    expect(worst([failed('', ''), warning('', '')])).toBe('failed')
    expect(new Set(CHECK_NAMES).size).toBe(CHECK_NAMES.length)
  })
})
