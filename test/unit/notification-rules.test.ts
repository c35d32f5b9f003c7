import { assert, double, integer, option, property, string } from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { DestinationHealth } from '../../src/shared/notifications/ports.ts'
import type { Endpoint } from '../../src/shared/notifications/rules/endpoint.ts'
import { noticeIdOf } from '../../src/shared/notifications/rules/notice.ts'
import { receiversOf } from '../../src/shared/notifications/rules/receivers.ts'
import { errorCodeOf, printable } from '../../src/shared/notifications/rules/response-text.ts'
import {
  DISABLE_AFTER_MS,
  pauseAfter,
  readRetryAfter,
  WAITS,
  waitAfter,
} from '../../src/shared/notifications/rules/retry.ts'
import { verdictOf } from '../../src/shared/notifications/rules/verdict.ts'
import type { SendResult } from '../../src/shared/notifications/transport-port.ts'
import { createPlaces } from '../../src/workers/notification-places.ts'

const NOW = Date.parse('2026-01-02T03:04:05Z')
const WELL: DestinationHealth = { failures: 0, failing_since: null, paused_until: null, succeeded_at: 1 }

describe('Retry-After', () => {
  test.for<[header: string | string[] | undefined, ms: number | null]>([
    ['0', 0],
    ['120', 120_000],
    [' 7 ', 7000],
    ['Fri, 02 Jan 2026 03:05:05 GMT', 60_000],
    ['Fri, 02 Jan 2026 03:03:05 GMT', 0],
    [undefined, null],
    ['', null],
    ['-1', null],
    ['1.5', null],
    ['soon', null],
    ['Friday or so', null],
    ['2026-01-02T03:05:05Z', null],
    ['99999999999999999999', null],
    [['1', '2'], null],
  ])('%j is %j', ([header, ms]) => {
    expect(readRetryAfter(header, NOW)).toBe(ms)
  })

  test('counts between once and twice the planned wait, and a wait is never shorter', () => {
    assert(
      property(
        integer({ min: 1, max: WAITS.length }),
        option(integer({ min: 0, max: 10 ** 9 })),
        double({ min: 0, max: 0.999, noNaN: true }),
        (tries, asked, random) => {
          const planned = WAITS[tries - 1] ?? 0
          const wait = waitAfter(tries, asked, random) ?? 0
          expect(wait).toBeGreaterThanOrEqual(planned)
          expect(wait).toBeLessThanOrEqual(2 * planned)
          if (asked !== null && asked > planned) expect(wait).toBeGreaterThanOrEqual(Math.min(asked, 2 * planned))
        },
      ),
    )
    expect(waitAfter(WAITS.length + 1, 0, 0)).toBeNull()
  })
})

test('a destination is paused from its third failure on, longer each time, or as it asks', () => {
  expect([1, 2, 3, 4, 5, 9, 10, 1000].map((failures) => pauseAfter(failures, null))).toEqual([
    null,
    null,
    1000,
    2000,
    4000,
    64_000,
    120_000,
    120_000,
  ])
  expect(pauseAfter(1, 30_000)).toBe(30_000)
  expect(pauseAfter(1, 10 ** 9)).toBe(3_600_000)
})

describe('an attempt', () => {
  const response = (status: number): SendResult => ({ status, error: null, detail: '', retryAfter: null })
  const failure = (error: SendResult['error']): SendResult => ({ status: null, error, detail: '', retryAfter: null })
  const since = { ...WELL, failures: 9, failing_since: NOW - DISABLE_AFTER_MS }
  test.for<
    [
      name: string,
      taken: { endpoint: string | null; tries: number },
      result: SendResult,
      health: DestinationHealth,
      state: string,
      ends: string | null,
    ]
  >([
    ['200', { endpoint: 'ep', tries: 0 }, response(200), WELL, 'delivered', null],
    ['299', { endpoint: null, tries: 8 }, response(299), since, 'delivered', null],
    ['300', { endpoint: 'ep', tries: 0 }, { ...response(300), error: 'redirect' }, WELL, 'pending', null],
    ['404', { endpoint: 'ep', tries: 0 }, response(404), WELL, 'pending', null],
    ['410 of an endpoint', { endpoint: 'ep', tries: 0 }, response(410), WELL, 'pending', 'gone'],
    ['410 of an endpoint, the last one', { endpoint: 'ep', tries: 8 }, response(410), WELL, 'failed', 'gone'],
    ['410 of an own webhook', { endpoint: null, tries: 0 }, response(410), WELL, 'failed', null],
    ['the last one', { endpoint: 'ep', tries: 8 }, response(500), WELL, 'failed', null],
    ['the last but one', { endpoint: 'ep', tries: 7 }, response(500), WELL, 'pending', null],
    ['no connection', { endpoint: 'ep', tries: 0 }, failure('refused'), WELL, 'pending', null],
    ['no address', { endpoint: 'ep', tries: 0 }, failure('dns'), WELL, 'pending', null],
    ['a forbidden one', { endpoint: 'ep', tries: 0 }, failure('forbidden_address'), WELL, 'failed', null],
    ['five days', { endpoint: 'ep', tries: 0 }, response(500), since, 'pending', 'failing'],
    ['five days, own', { endpoint: null, tries: 0 }, failure('timeout'), since, 'pending', 'failing'],
  ])('%s', ([, taken, result, health, state, ends]) => {
    const verdict = verdictOf(taken, result, { health, now: NOW, random: 0 })
    expect([verdict.outcome.state, verdict.ends]).toEqual([state, ends])
    expect(verdict.outcome.next !== null).toBe(state === 'pending')
    expect(verdict.outcome.destination).toBe(state === 'delivered' ? 'well' : 'failing')
  })
})

describe('what is kept of a response', () => {
  test('is a kilobyte of printable text', () => {
    expect(printable('a\u001b[31mb\u0000\r\nc\u202ed\u2028')).toBe('a [31mb c d')
    assert(
      property(string({ unit: 'binary', maxLength: 3000 }), (text) => {
        const kept = printable(text)
        expect(Buffer.byteLength(kept)).toBeLessThanOrEqual(1024)
        expect(kept).not.toMatch(/[\p{Cc}\p{Cf}]/u)
      }),
    )
    expect(printable('é'.repeat(600))).toBe('é'.repeat(512))
  })

  test.for([
    ['ENOTFOUND', 'dns'],
    ['EAI_AGAIN', 'dns'],
    ['ECONNREFUSED', 'refused'],
    ['UND_ERR_CONNECT_TIMEOUT', 'timeout'],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'tls'],
    ['CERT_HAS_EXPIRED', 'tls'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'tls'],
    ['HPE_INVALID_CONSTANT', 'bad_response'],
    ['EHOSTUNREACH', 'unreachable'],
    ['SOMETHING_NEW', 'failed'],
  ] as const)('has a code for %s', ([code, error]) => {
    const inner = Object.assign(new Error('no'), { code })
    expect(errorCodeOf(inner)).toBe(error)
    expect(errorCodeOf(new Error('outer', { cause: inner }))).toBe(error)
  })
})

describe('receivers', () => {
  const endpoint = (id: string, changes: Partial<Endpoint> = {}): Endpoint => ({
    v: 1,
    id: `ep_${id}`,
    tenant: 'acme',
    kind: 'webhook',
    to: 'https://example.com',
    description: '',
    events: ['job.succeeded', 'batch.finished', 'endpoint.disabled'],
    presets: null,
    payload: 'full',
    secrets: null,
    confirmed_at: null,
    created_at: 0,
    disabled: null,
    ...changes,
  })
  const names = (...args: Parameters<typeof receiversOf>): string[] =>
    receiversOf(...args).map(({ name, shape, isHeld }) => `${name} ${shape}${isHeld ? ' held' : ''}`)
  const job = {
    type: 'job.succeeded',
    tenant: 'acme',
    job: { preset: 'portrait', batch: null },
    webhook: null,
  } as const

  test('are the endpoints that hear of the type and of the preset', () => {
    const all = [
      endpoint('A'),
      endpoint('B', { payload: 'thin', presets: ['portrait'] }),
      endpoint('C', { presets: ['other'] }),
      endpoint('D', { events: ['job.failed'] }),
      endpoint('E', { disabled: { at: 1, reason: 'owner' } }),
      endpoint('F', { kind: 'email' }),
      endpoint('G', { kind: 'email', confirmed_at: 1 }),
    ]
    expect(names(job, all)).toEqual(['A full', 'B thin', 'E full held', 'G full'])
    expect(names({ ...job, job: { preset: null, batch: null } }, all)).toEqual(['A full', 'E full held', 'G full'])
    // What concerns no job is for every preset, and has no job to carry.
    const batch = { type: 'batch.finished', tenant: 'acme', job: null, webhook: null } as const
    expect(names(batch, all)).toEqual(['A thin', 'B thin', 'C thin', 'E thin held', 'G thin'])
    expect(names({ ...batch, type: 'endpoint.disabled', except: 'ep_A' }, all)).not.toContain('A thin')
  })

  test('get one mail for a batch, and one for each job where they do not hear of batches', () => {
    const mail = { kind: 'email', confirmed_at: 1 } as const
    const all = [
      endpoint('A'),
      endpoint('B', mail),
      endpoint('C', { ...mail, events: ['job.succeeded', 'artifact.at_risk'] }),
    ]
    const inBatch = { ...job, job: { preset: null, batch: 'bat_1' } }
    expect(names(inBatch, all)).toEqual(['A full', 'C full'])
    expect(
      names({ ...inBatch, type: 'artifact.at_risk' }, [
        endpoint('B', { ...mail, events: ['artifact.at_risk', 'batch.finished'] }),
      ]),
    ).toEqual(['B full'])
  })

  test('are the own webhook of the job, which waits with those of its tenant and origin', () => {
    const webhook = { url: 'https://shop.example:8443/a?b=c', events: ['job.succeeded' as const], filter: null }
    const own = receiversOf({ ...job, webhook: { ...webhook, shape: 'genqueue' } }, [])
    expect(own).toEqual([
      {
        name: 'own',
        endpoint: null,
        destination: 'acme https://shop.example:8443',
        url: webhook.url,
        shape: 'thin',
        isHeld: false,
      },
    ])
    expect(names({ ...job, webhook: { ...webhook, shape: 'replicate' } }, [])).toEqual(['own replicate'])
    expect(names({ ...job, type: 'job.failed', webhook: { ...webhook, shape: 'genqueue' } }, [])).toEqual([])
  })

  test('of an event that is owed again have the same notice', () => {
    expect(noticeIdOf(NOW, 'ep_A')).toBe(noticeIdOf(NOW, 'ep_A'))
    expect(noticeIdOf(NOW, 'ep_A')).not.toBe(noticeIdOf(NOW, 'ep_B'))
    expect(noticeIdOf(NOW, 'ep_A')).toMatch(/^[0-9A-HJKMNP-TV-Z]{26}$/)
  })
})

describe('the places of a process', () => {
  const DEAD: DestinationHealth = { ...WELL, failures: 1, succeeded_at: null }
  const take = (places: ReturnType<typeof createPlaces>): string[] => {
    const all: string[] = []
    for (let next = places.next(); next !== null; next = places.next())
      all.push(...Array.from({ length: next.seats }, () => next?.destination.name ?? ''))
    return all
  }

  test('are eight for a destination that succeeded last, one for any other', () => {
    const places = createPlaces()
    places.offer({ destination: 'good', tenant: 'a', health: WELL })
    places.offer({ destination: 'bad', tenant: 'a', health: DEAD })
    places.offer({ destination: 'good', tenant: 'a', health: WELL })
    expect(
      Object.fromEntries(Object.entries(Object.groupBy(take(places), (name) => name)).map(([k, v]) => [k, v?.length])),
    ).toEqual({ good: 8, bad: 1 })
    expect(places.next()).toBeNull()
  })

  test('leave some to the first attempt for a receiver of another tenant, however many have dead ones', () => {
    const places = createPlaces()
    for (const tenant of ['a', 'b', 'c', 'd', 'e', 'f'])
      for (let n = 0; n < 400; n++) places.offer({ destination: `${tenant}${n}`, tenant, health: DEAD })
    expect(take(places).length).toBeLessThan(128)
    places.offer({ destination: 'new', tenant: 'z', health: { ...DEAD, failures: 0 } })
    expect(take(places)).toEqual(['new'])
  })

  test('are a quarter for a tenant while others wait, and all when it is alone', () => {
    const places = createPlaces()
    for (const tenant of ['a', 'b'])
      for (let n = 0; n < 100; n++) places.offer({ destination: `${tenant}${n}`, tenant, health: WELL })
    const first = take(places)
    expect(first.filter((name) => name.startsWith('a'))).toHaveLength(64)
    expect(first.filter((name) => name.startsWith('b'))).toHaveLength(64)
    const alone = createPlaces()
    for (let n = 0; n < 100; n++) alone.offer({ destination: `a${n}`, tenant: 'a', health: WELL })
    expect(take(alone)).toHaveLength(256)
  })

  test('come back, whatever a destination was when they were taken', () => {
    const places = createPlaces()
    for (let round = 0; round < 300; round++) {
      places.offer({ destination: 'x', tenant: 'a', health: round % 2 === 0 ? DEAD : WELL })
      const next = places.next()
      if (next === null) throw new Error(`no place in round ${round}`)
      places.learn(next.destination, round % 3 === 0 ? WELL : DEAD)
      places.release(next.destination, next.seats)
    }
    expect(places.hasRoom()).toBe(true)
  })
})
