import { expect, test } from 'vitest'
import { checkWebhookUrl } from '../../src/shared/notifications/check-webhook-url.ts'
import { adviceOf } from '../../src/shared/notifications/rules/advice.ts'
import { readWebhookAllow } from '../../src/shared/notifications/rules/webhook-url.ts'

test.each([
  [200, null, null],
  [204, null, null],
  [301, null, 'Redirects are not followed'],
  [308, null, 'Redirects are not followed'],
  [401, null, 'secret'],
  [404, null, 'path'],
  [405, null, 'POST'],
  [410, null, 'gone for good'],
  [413, null, 'size of a body'],
  [418, null, 'refuses the request'],
  [500, null, 'failed'],
  [502, null, 'cannot reach it'],
  [null, 'timeout', '15 seconds'],
  [null, 'dns', 'name of the host'],
  [null, 'tls', 'certificate'],
  [null, 'refused', 'Nothing listens'],
  [null, 'forbidden_address', 'WEBHOOK_ALLOW'],
  [null, 'of_a_newer_release', 'can be reached'],
])('%s %s: %s', (status, error, words) => {
  const advice = adviceOf({ status, error })
  if (words === null) expect(advice).toBeNull()
  else expect(advice).toContain(words)
})

const NOBODY = { hosts: [], ranges: [] }
const at =
  (...addresses: string[]) =>
  (): Promise<string[]> =>
    Promise.resolve(addresses)

test.each([
  ['a public address', ['93.184.215.14'], null],
  ['no address', [], 'The name shop.example does not exist.'],
  ['a private one', ['10.0.0.7'], 'leads to 10.0.0.7'],
  ['a private one among others', ['93.184.215.14', '192.168.0.1'], 'leads to 192.168.0.1'],
  ['this machine', ['::1'], 'leads to ::1'],
])('a name with %s', async (_name, addresses, problem) => {
  const found = await checkWebhookUrl('https://shop.example/hook', NOBODY, at(...addresses))
  if (problem === null) expect(found).toBeNull()
  else expect(found).toContain(problem)
})

test('the addresses of a name that the operator allows may be private', async () => {
  const allow = readWebhookAllow('shop.example') ?? NOBODY
  expect(await checkWebhookUrl('http://shop.example/hook', allow, at('10.0.0.7'))).toBeNull()
  expect(await checkWebhookUrl('http://shop.example/hook', allow, at('169.254.169.254'))).toContain('169.254.169.254')
})

test('an address needs no name, and a resolver in trouble says nothing about a URL', async () => {
  const broken = (): Promise<string[]> => Promise.reject(new Error('queryA ESERVFAIL'))
  expect(await checkWebhookUrl('https://93.184.215.14/hook', NOBODY, broken)).toBeNull()
  expect(await checkWebhookUrl('https://shop.example/hook', NOBODY, broken)).toBeNull()
  expect(await checkWebhookUrl('https://127.0.0.1/hook', NOBODY, broken)).toContain('not a public address')
})
