import { Webhook } from 'standardwebhooks'
import { describe, expect, test } from 'vitest'
import { verifyWebhook, WebhookVerificationError } from '../../src/client/node.ts'
import { signedHeaders } from '../../src/shared/notifications/rules/signature.ts'
import { makeSecret } from '../../src/shared/tenants/rules/signing-secret.ts'

const [secret, other] = [makeSecret(), makeSecret()]
const payload = {
  type: 'job.succeeded',
  timestamp: new Date().toISOString(),
  data: { job: { id: 'job_1', title: 'ä' } },
}
const body = JSON.stringify(payload)
const signed = (at = Date.now()) =>
  signedHeaders({ current: { key: secret, created_at: 0 }, previous: [] }, { id: 'ntf_1', at, body })

describe('verifyWebhook', () => {
  test.each([
    ['an object of Node', body, signed()],
    ['an object with lists', body, { ...signed(), 'webhook-id': ['ntf_1'] }],
    ['headers of fetch', body, new Headers(signed())],
    ['bytes', Buffer.from(body), signed()],
  ])('accepts %s', (_name, sent, headers) => {
    expect(verifyWebhook(sent, headers, secret)).toEqual(payload)
  })

  test('accepts what the library of the standard signs, by any of several secrets', () => {
    const at = new Date()
    const headers = {
      'webhook-id': 'msg_1',
      'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
      'webhook-signature': `v1,AAAA v2,x ${new Webhook(secret).sign('msg_1', at, body)}`,
    }
    expect(verifyWebhook(body, headers, [other, secret])).toEqual(payload)
  })

  test.each([
    ['another secret', body, signed(), other, 'signature is wrong'],
    ['no secret', body, signed(), [], 'signature is wrong'],
    ['an altered body', `${body} `, signed(), secret, 'signature is wrong'],
    ['another id', body, { ...signed(), 'webhook-id': 'ntf_2' }, secret, 'signature is wrong'],
    ['an old request', body, signed(Date.now() - 400_000), secret, 'too old'],
    ['a request of the future', body, signed(Date.now() + 400_000), secret, 'too old'],
    ['a time that is none', body, { ...signed(), 'webhook-timestamp': 'now' }, secret, 'too old'],
    ['no headers', body, {}, secret, 'required'],
    ['an empty signature', body, { ...signed(), 'webhook-signature': '' }, secret, 'required'],
    ['a short signature', body, { ...signed(), 'webhook-signature': 'v1,AAAA' }, secret, 'signature is wrong'],
  ])('refuses %s', (_name, sent, headers, secrets, words) => {
    const verify = (): unknown => verifyWebhook(sent, headers, secrets)
    expect(verify).toThrow(WebhookVerificationError)
    expect(verify).toThrow(words)
  })

  test('takes another tolerance', () => {
    expect(verifyWebhook(body, signed(Date.now() - 400_000), secret, { tolerance: 600 })).toEqual(payload)
  })
})
