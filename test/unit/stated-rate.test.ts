import { expect, test } from 'vitest'
import { statedRate, type StatedRate } from '../../src/shared/replicate/rules/stated-rate.ts'

const LOW_CREDIT =
  'Request was throttled. Your rate limit for creating predictions is reduced to 6 requests per minute with a burst of 1 requests while you have less than $5.0 in credit. Your rate limit resets in ~7s.'

test.each<[string, Record<string, string>, string, StatedRate | null]>([
  ['little credit', {}, JSON.stringify({ detail: LOW_CREDIT, retry_after: 7 }), { perMinute: 6, burst: 1 }],
  ['no payment method', {}, 'reduced to 1 request per second until you add', { perMinute: 60, burst: null }],
  ['an hour', {}, 'limited to 90 requests per hour with a burst of 0', { perMinute: 1.5, burst: 1 }],
  ['no figure', {}, '{"detail":"Request was throttled. Your rate limit resets in ~30s."}', null],
  ['none per minute', {}, 'reduced to 0 requests per minute', null],
  ['a word that is no unit', {}, '6 requests per fortnight', null],
  ['a policy', { 'ratelimit-policy': '"burst";q=100;w=60,"day";q=1000;w=86400' }, '', { perMinute: 100, burst: null }],
  [
    'a policy with further parameters',
    { 'ratelimit-policy': '"a";pk=:x:;q=10;w=1' },
    '',
    { perMinute: 600, burst: null },
  ],
  ['an earlier draft', { 'ratelimit-policy': '100;w=30' }, '', { perMinute: 200, burst: null }],
  ['one before', { 'ratelimit-limit': '10, 10;w=1, 50;w=60' }, '', { perMinute: 600, burst: null }],
  ['a limit without a window', { 'ratelimit-limit': '600' }, '', null],
  ['a window of nothing', { 'ratelimit-policy': '100;w=0' }, '', null],
  ['the text before the headers', { 'ratelimit-policy': '100;w=60' }, LOW_CREDIT, { perMinute: 6, burst: 1 }],
])('a 429 with %s', (_name, headers, body, expected) => {
  expect(statedRate({ get: (name) => headers[name] ?? null }, body)).toEqual(expected)
})
