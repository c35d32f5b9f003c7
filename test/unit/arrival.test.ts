import { describe, expect, test } from 'vitest'
import { readArrival, type Arrival } from '../../src/api/arrival.ts'
import { readTrustedProxies, trustedProxies } from '../../src/shared/settings/trusted-proxies.ts'

describe('TRUST_PROXY', () => {
  test.each([
    ['loopback', ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1'], ['10.0.0.1', '2001:db8::1', '', 'unknown']],
    ['10.0.0.5', ['10.0.0.5', '::ffff:10.0.0.5'], ['10.0.0.6', '127.0.0.1']],
    ['172.16.0.0/12, 2001:DB8::/32', ['172.31.255.255', '2001:db8:ffff::1'], ['172.32.0.1', '2001:db9::1']],
    ['::ffff:10.0.0.0/104', ['10.1.2.3'], ['11.0.0.1']],
  ])('%s', (list, trusted, strangers) => {
    const trusts = trustedProxies(readTrustedProxies(list) ?? [])
    expect(trusted.map(trusts)).toEqual(trusted.map(() => true))
    expect(strangers.map(trusts)).toEqual(strangers.map(() => false))
  })

  test.each([
    'true',
    '1',
    '*',
    '10.0.0.1,',
    '10.0.0',
    '010.0.0.1/33',
    '10.0.0.0/33',
    '0.0.0.0/0',
    '::/0',
    '::ffff:0:0/96',
    'proxy.internal',
    'loopback 10.0.0.1',
  ])('%s is refused: no list of addresses, or everybody', (list) => {
    expect(readTrustedProxies(list)).toBeNull()
  })
})

describe('a request', () => {
  const PROXY = '10.0.0.5'
  const rules = {
    trusts: trustedProxies(['loopback', '10.0.0.0/8']),
    publicOrigin: 'https://queue.example.com',
  }
  const from = (peer: string, headers: Record<string, string>): Arrival =>
    readArrival({ peer, encrypted: false, headers }, rules)

  test.each<[string, string, Record<string, string>, Partial<Arrival>]>([
    [
      'of a stranger is where it comes from',
      '192.0.2.1',
      { host: 'a' },
      { address: '192.0.2.1', host: 'a', secure: false, proxied: false },
    ],
    [
      'of a stranger who says otherwise too',
      '192.0.2.1',
      { host: 'a', 'x-forwarded-for': '1.1.1.1', 'x-forwarded-proto': 'https', 'x-forwarded-host': 'b' },
      { address: '192.0.2.1', host: 'a', secure: false, proxied: false },
    ],
    [
      'of a proxy is its client’s',
      PROXY,
      { host: 'a', 'x-forwarded-for': '192.0.2.1', 'x-forwarded-proto': 'https', 'x-forwarded-host': 'b' },
      { address: '192.0.2.1', host: 'b', secure: true, proxied: true },
    ],
    [
      'of a proxy that says nothing is the proxy’s',
      PROXY,
      { host: 'a' },
      { address: PROXY, host: 'a', proxied: false },
    ],
    ['through two proxies', PROXY, { 'x-forwarded-for': '192.0.2.1, 10.0.0.6' }, { address: '192.0.2.1' }],
    ['with a forged beginning', PROXY, { 'x-forwarded-for': '127.0.0.1, 192.0.2.1' }, { address: '192.0.2.1' }],
    ['from within', PROXY, { 'x-forwarded-for': '10.0.0.7' }, { address: '10.0.0.7' }],
    ['with ports', PROXY, { 'x-forwarded-for': '192.0.2.1:4711' }, { address: '192.0.2.1' }],
    ['with ports, IPv6', PROXY, { 'x-forwarded-for': '[2001:db8::1]:4711' }, { address: '2001:db8::1' }],
    ['with nonsense for an address', PROXY, { 'x-forwarded-for': 'unknown' }, { address: PROXY }],
    ['with nonsense before a proxy', PROXY, { 'x-forwarded-for': '_x, 10.0.0.6' }, { address: '10.0.0.6' }],
    ['by plain http at the proxy', PROXY, { host: 'a', 'x-forwarded-proto': 'http' }, { secure: false, proxied: true }],
    ['of a page by https', '192.0.2.1', { host: 'a', origin: 'https://a' }, { secure: true }],
    [
      'of a page by http',
      '192.0.2.1',
      { host: 'queue.example.com', origin: 'http://queue.example.com' },
      { secure: false },
    ],
    ['without an origin, for the public host', '192.0.2.1', { host: 'queue.example.com' }, { secure: true }],
    ['of a page without an origin, elsewhere', '192.0.2.1', { host: 'a', origin: 'null' }, { secure: false }],
  ])('%s', (_what, peer, headers, expected) => {
    expect(from(peer, headers)).toMatchObject(expected)
  })
})
