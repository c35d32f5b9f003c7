import { Writable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { createLogger, type Logger } from '../../src/shared/process/logger.ts'

function logged(write: (log: Logger) => void): string {
  const lines: string[] = []
  const destination = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk))
      done()
    },
  })
  write(createLogger({ level: 'trace', readable: false, destination }))
  return lines.join('')
}

const SECRETS = ['r8_AbCdEfGh12345678', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'gq_dev_0123456789abcdef']

describe('a log line', () => {
  test.each(SECRETS)('cuts %s out of an error, its stack and its cause', (secret) => {
    const error = new Error(`refused: ${secret}`, { cause: new Error(`header "Bearer ${secret}"`) })
    const line = logged((log) => log.error({ err: error }, 'failed'))
    expect(line).not.toContain(secret)
    expect(JSON.parse(line)).toMatchObject({ err: { type: 'Error', message: 'refused: [redacted]' } })
  })

  test('cuts the token out of a webhook URL', () => {
    const url = 'https://gq.example/webhooks/replicate?job=job_1&attempt=1&token=AbCdEf_-123456789012'
    const line = logged((log) => log.warn({ err: new Error(`cannot reach ${url}`) }))
    expect(line).toContain('job=job_1&attempt=1&token=[redacted]')
  })

  test('hides fields that carry secrets or what a customer wrote', () => {
    const secret = 'do-not-show-me'
    const line = logged((log) => {
      log.info({
        headers: { authorization: secret, cookie: secret, 'user-agent': 'curl' },
        request: { input: { prompt: secret }, webhook: secret, token: secret, key: secret, secret, password: secret },
      })
      log.info({
        authorization: secret,
        cookie: secret,
        token: secret,
        secret,
        password: secret,
        input: { prompt: secret },
      })
    })
    expect(line).not.toContain(secret)
    expect(line).toContain('curl')
  })

  test('stays one line for any text', () => {
    const line = logged((log) => log.info({ model: 'a\r\n{"level":60}\u2028' }, 'x\ny'))
    expect(line.trimEnd().split('\n')).toHaveLength(1)
    expect(JSON.parse(line)).toMatchObject({ model: 'a\r\n{"level":60}\u2028' })
  })

  test('takes an error that is none', () => {
    expect(logged((log) => log.error({ err: `text with ${SECRETS[0]}` }))).toContain('text with [redacted]')
  })
})

test('a readable line shows the escape sequences of an error, and keeps its line ends', async () => {
  const { promise, resolve } = Promise.withResolvers<string>()
  const destination = new Writable({
    write(chunk, _encoding, done) {
      resolve(String(chunk))
      done()
    },
  })
  const error = new Error('a model said \u001B[2J\u009B31m\u202E\rthat')
  createLogger({ level: 'info', readable: true, destination }).warn({ err: error }, 'failed')
  const text = await promise
  expect(text).toContain(String.raw`a model said \u001b[2J\u009b31m\u202e\rthat`)
  expect(text).toMatch(/\n +at /)
  for (const active of ['\u001B[2J', '\u009B', '\u202E', '\r']) expect(text).not.toContain(active)
})
