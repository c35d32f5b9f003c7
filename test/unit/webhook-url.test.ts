import { describe, expect, test } from 'vitest'
import {
  isAllowedForWebhook,
  LOOPBACK_WEBHOOKS,
  readWebhookAllow,
  webhookUrlProblem,
  type WebhookAllow,
} from '../../src/shared/notifications/rules/webhook-url.ts'

const NOTHING: WebhookAllow = { hosts: [], ranges: [] }
const allowing = (list: string): WebhookAllow => {
  const allow = readWebhookAllow(list)
  if (allow === null) throw new Error(`${list} is not a list`)
  return allow
}

/** Spellings of addresses of this machine, of private networks, of clouds' internals. */
const INSIDE = [
  'https://localhost/',
  'https://LOCALHOST./hook',
  'https://api.localhost/hook',
  'https://127.1/',
  'https://0x7f.1/',
  'https://2130706433/',
  'https://0177.0.0.1/',
  'https://①②⑦.⓪.⓪.①/',
  'https://127。0。0。1/',
  'https://10.0.0.1/',
  'https://172.16.0.1/',
  'https://192.168.1.1:8443/',
  'https://100.64.0.1/',
  'https://198.18.0.1/',
  'https://[::1]/',
  'https://[::ffff:127.0.0.1]/',
  'https://[0:0:0:0:0:ffff:7f00:1]/',
  'https://[::127.0.0.1]/',
  'https://[::ffff:0:127.0.0.1]/',
  'https://[64:ff9b::7f00:1]/',
  'https://[64:ff9b:1::7f00:1]/',
  'https://[2002:7f00:1::1]/',
  'https://[2001:0:7f00:1::1]/',
  'https://[2001:0:808:808::80ff:fffe]/',
  'https://[fc00::1]/',
  'https://[fec0::1]/',
  'https://[4000::1]/',
]
const NEVER = [
  'https://0/',
  'https://0.0.0.0/',
  'https://[::]/',
  'https://169.254.169.254/latest/meta-data',
  'https://0xa9fea9fe/',
  'https://[::ffff:169.254.169.254]/',
  'https://[::169.254.169.254]/',
  'https://[64:ff9b::a9fe:a9fe]/',
  'https://[2002:a9fe:a9fe::1]/',
  'https://[2001:0:a9fe:a9fe::1]/',
  'https://[2001::5601:5601]/',
  'https://168.63.129.16/',
  'https://100.100.100.200/',
  'https://192.0.0.192/',
  'https://224.0.0.1/',
  'https://255.255.255.255/',
  'https://[fe80::1]/',
  'https://[ff02::1]/',
  'https://[fd00:ec2::254]/',
  'https://metadata.google.internal/computeMetadata/v1/',
  'https://Metadata.Google.Internal./',
  'https://metadata/',
]

describe('the URL of a webhook', () => {
  test.each([
    'https://example.com/hook',
    'https://example.com:8443/hook?a=b#c',
    'https://example.com:3000/',
    'HTTPS://EXAMPLE.COM',
    'https://bücher.example/hook',
    'https://8.8.8.8/hook',
    'https://[2606:4700::1111]/',
    'https://localhost.example.com/',
  ])('%s is allowed', (url) => {
    expect(webhookUrlProblem(url, NOTHING)).toBeNull()
  })

  test.each<[url: string, problem: string]>([
    ['', 'https URL'],
    ['example.com/hook', 'https URL'],
    ['ftp://example.com/', 'https URL'],
    ['javascript:alert(1)', 'https URL'],
    ['https://', 'https URL'],
    ['http://example.com/hook', 'allow http'],
    ['https://user@example.com/', 'credentials'],
    ['https://:pass@example.com/', 'credentials'],
    ['https://example.com:22/', 'port 22'],
    ['https://example.com:80/', 'port 80'],
    [`https://example.com/${'a'.repeat(2048)}`, 'limit is 2048'],
  ])('%j is refused: %s', (url, problem) => {
    expect(webhookUrlProblem(url, NOTHING)).toContain(problem)
  })

  test.each(INSIDE)('%s is refused unless the operator allows it', (url) => {
    expect(webhookUrlProblem(url, NOTHING)).toContain('not a public address')
    const { hostname } = new URL(url)
    const name = hostname.replace(/\.$/, '')
    const entry = name.startsWith('[') ? name.slice(1, -1) : name
    expect(webhookUrlProblem(url, allowing(entry))).toBeNull()
    expect(webhookUrlProblem(url.replace('https', 'http'), allowing(entry))).toBeNull()
  })

  test.each(NEVER)('%s is refused whatever the operator allows', (url) => {
    const { hostname } = new URL(url)
    const name = hostname.replace(/^\[|\]$|\.$/g, '')
    for (const allow of [
      NOTHING,
      { hosts: [name], ranges: allowing('128.0.0.0/1, 1.0.0.0/1, 4000::/1, fc00::/1').ranges },
    ])
      expect(webhookUrlProblem(url, allow)).toContain('never')
  })
})

describe('WEBHOOK_ALLOW', () => {
  test.each(['', ',', '*', 'https://example.com', 'example.com:80', '10.0.0', '10.0.0.256', '0.0.0.0/0', '::/0'])(
    '%j is refused',
    (list) => {
      expect(readWebhookAllow(list)).toBeNull()
    },
  )

  test.each(['169.254.169.254', '169.254.0.0/16', 'fe80::/10', '224.0.0.0/4', 'metadata.google.internal', 'metadata'])(
    '%s cannot be allowed',
    (entry) => {
      expect(readWebhookAllow(`example.com, ${entry}`)).toBeNull()
    },
  )

  test('a name allows http, any port and private addresses for this host only', () => {
    const allow = allowing('hooks.internal, Tunnel.Example')
    expect(webhookUrlProblem('http://hooks.internal:80/a', allow)).toBeNull()
    expect(webhookUrlProblem('http://HOOKS.internal.:25/a', allow)).toBeNull()
    expect(webhookUrlProblem('http://tunnel.example/', allow)).toBeNull()
    expect(webhookUrlProblem('http://other.internal/', allow)).toContain('allow http')
    expect(isAllowedForWebhook('hooks.internal', '10.0.0.1', allow)).toBe(true)
    expect(isAllowedForWebhook('hooks.internal', '127.0.0.1', allow)).toBe(true)
    expect(isAllowedForWebhook('hooks.internal', '::ffff:169.254.169.254', allow)).toBe(false)
    expect(isAllowedForWebhook('example.com', '10.0.0.1', allow)).toBe(false)
  })

  test('a range allows the names that resolve into it, and literal addresses also over http', () => {
    const allow = allowing('10.1.0.0/16,fc00::/7')
    expect(webhookUrlProblem('http://10.1.2.3:80/', allow)).toBeNull()
    expect(webhookUrlProblem('http://[::ffff:10.1.2.3]/', allow)).toBeNull()
    expect(webhookUrlProblem('https://10.2.0.1/', allow)).toContain('not a public address')
    expect(webhookUrlProblem('http://hooks.internal/', allow)).toContain('allow http')
    expect(isAllowedForWebhook('hooks.internal', '10.1.9.9', allow)).toBe(true)
    expect(isAllowedForWebhook('hooks.internal', 'fd00::1', allow)).toBe(true)
    expect(isAllowedForWebhook('hooks.internal', '10.2.0.1', allow)).toBe(false)
    expect(isAllowedForWebhook('hooks.internal', 'fd00:ec2::254', allow)).toBe(false)
  })

  test('loopback is this machine', () => {
    expect(allowing('loopback')).toEqual(LOOPBACK_WEBHOOKS)
    for (const url of ['http://localhost:3000/hook', 'http://127.0.0.1:80/', 'http://[::1]:9/'])
      expect(webhookUrlProblem(url, LOOPBACK_WEBHOOKS)).toBeNull()
    expect(isAllowedForWebhook('localhost', '::1', LOOPBACK_WEBHOOKS)).toBe(true)
    expect(isAllowedForWebhook('example.com', '127.0.0.1', LOOPBACK_WEBHOOKS)).toBe(true)
    expect(webhookUrlProblem('http://10.0.0.1/', LOOPBACK_WEBHOOKS)).not.toBeNull()
  })

  test('public addresses are always allowed, and what is no address never', () => {
    expect(isAllowedForWebhook('example.com', '8.8.8.8', NOTHING)).toBe(true)
    expect(isAllowedForWebhook('example.com', 'example.com', LOOPBACK_WEBHOOKS)).toBe(false)
  })
})
