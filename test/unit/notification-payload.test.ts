import { validateWebhook } from 'replicate'
import { Webhook } from 'standardwebhooks'
import { describe, expect, test } from 'vitest'
import { jobData, payloadText } from '../../src/shared/notifications/rules/payload.ts'
import { signedHeaders } from '../../src/shared/notifications/rules/signature.ts'
import { verifySignature } from '../../src/shared/replicate/rules/webhook-signature.ts'
import { makeSecret } from '../../src/shared/tenants/rules/signing-secret.ts'
import { JOB, jobRecord } from './support/job-states.ts'

const AT = 1_800_000_000_123
const ID = 'ntf_01KGX5Q8Z2V7M4N6P9R3S5T8W1_ep'

describe('a payload', () => {
  test('names the type, the time and the job with its revision, and nothing of its input or output', () => {
    const error = { code: 'E', message: 'no', retryable: false, billed: 'no' as const }
    const job = jobRecord('failed', { metadata: { order: '42' }, error, batch: 'bat_1', input: { prompt: 'secret' } })
    expect(JSON.parse(payloadText('job.failed', AT, jobData(job)))).toEqual({
      type: 'job.failed',
      timestamp: '2027-01-15T08:00:00.123Z',
      data: {
        job: { id: JOB, status: 'failed', rev: job.rev, batch: 'bat_1', metadata: { order: '42' }, error },
      },
    })
  })
})

describe('a signature of a notification', () => {
  const body = payloadText('endpoint.test', Date.now(), { text: 'Grüße' })
  const [current, previous, ended] = [makeSecret(), makeSecret(), makeSecret()]
  const secrets = {
    current: { key: current, created_at: 0 },
    previous: [
      { key: previous, created_at: 0, expires_at: Date.now() + 60_000 },
      { key: ended, created_at: 0, expires_at: Date.now() - 1 },
    ],
  }
  const headers = signedHeaders(secrets, { id: ID, at: Date.now(), body })

  test.each([
    ['the current secret', current, true],
    ['a replaced one during its grace', previous, true],
    ['a replaced one after its grace', ended, false],
    ['another one', makeSecret(), false],
  ])('is accepted with %s: %s', async (_name, secret, isValid) => {
    const accepted = (): unknown => new Webhook(secret).verify(body, headers)
    if (isValid) expect(accepted()).toEqual(JSON.parse(body))
    else expect(accepted).toThrow('No matching signature')
    const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature } = headers
    expect(verifySignature({ id, timestamp, signature, body: Buffer.from(body) }, [secret], Date.now())).toBe(isValid)
    expect(await validateWebhook({ id, timestamp, signature, body, secret })).toBe(isValid)
  })

  test('names the time of the attempt in seconds', () => {
    expect(signedHeaders(secrets, { id: ID, at: AT, body })['webhook-timestamp']).toBe('1800000000')
  })
})
