import { copyFileSync, writeFileSync } from 'node:fs'
import { createServer as createTlsServer } from 'node:https'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { ulid } from 'ulid'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { CheckName, CheckResult, Finding } from '../../src/shared/doctor/rules/check.ts'
import {
  createRedisAskWorker,
  createRedisDoctorAnswers,
  createRedisOpenProbes,
} from '../../src/shared/doctor/redis-doctor-desk.ts'
import { createWebhookTokens } from '../../src/shared/replicate/rules/webhook-token.ts'
import { oneKey } from '../../src/shared/values/signing-keys.ts'
import { makeCertificate } from '../../src/simulator/certificate.ts'
import { createProbeWebhooks, type ProbeWebhooksOptions } from '../../src/workers/probe-webhooks.ts'
import { createProbeSender } from '../../src/workers/send-probe.ts'
import { freePort } from '../support/free-port.ts'
import { runGenqueue, type Ended } from '../support/genqueue.ts'
import { FAULTS, startOutside, type Outside } from '../support/outside.ts'
import { freshPrefix, testRedisUrl } from '../support/redis.ts'
import { sendWebhook, signerOf, type WebhookSigner } from '../support/sign-webhook.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { tempDir } from '../support/temp-dir.ts'

/** The doctor, with what users meet when they set up webhooks: each of their troubles is a row. */

const KEY_PREFIX = freshPrefix()
const dataDir = tempDir()

let outside: Outside
let service: TestService
let signer: WebhookSigner
let settings: Record<string, string>

beforeAll(async () => {
  outside = await startOutside()
  service = await startService({
    env: { KEY_PREFIX, PUBLIC_URL: outside.url, DATA_DIR: dataDir, DISK_RESERVE: '1' },
    // The webhook is not overtaken by a poll, however slow the machine is.
    timings: { pollWithWebhooks: { first: 600_000, min: 600_000, max: 600_000 } },
  })
  outside.leadTo(service.url)
  signer = await signerOf(service)
  // One preset: each comparison with a model costs.
  const presets = tempDir()
  copyFileSync(join(import.meta.dirname, '../../presets/story-page.yaml'), join(presets, 'story-page.yaml'))
  settings = {
    PRESETS_DIR: presets,
    REDIS_URL: testRedisUrl(),
    KEY_PREFIX,
    DATA_DIR: tempDir(),
    DISK_RESERVE: '1',
    REPLICATE_API_TOKEN: 'test',
    REPLICATE_BASE_URL: service.simulator.apiUrl,
  }
})
afterAll(() => service.stop())
beforeEach(() => outside.set(null))

/** Sends probes to the api from here, by any address. */
async function probe(changes: Partial<ProbeWebhooksOptions> & { publicUrl?: () => string | null } = {}) {
  const [id, key] = await service.redis.hmget(service.keys.deployment, 'id', 'key')
  const generation = await service.redis.hget(service.keys.generation, 'id')
  const publicUrl = changes.publicUrl ?? (() => outside.url)
  return createProbeWebhooks({
    probes: createRedisOpenProbes(service.redis, service.keys),
    sender: createProbeSender({ answerMs: 2_000 }),
    isUpstreamLocal: true,
    secret: () => Promise.resolve(signer.secret),
    generation: () => generation ?? '',
    tokens: createWebhookTokens({ deployment: id ?? '', keys: oneKey(Buffer.from(key ?? '', 'base64url')), publicUrl }),
    publicUrl,
    ...changes,
  })()
}

/** The state of a finding, with parts of what it says. */
const says = (state: Finding['state'], seen: RegExp | string, todo: RegExp | string): object => ({
  state,
  seen: typeof seen === 'string' ? expect.stringContaining(seen) : expect.stringMatching(seen),
  todo: typeof todo === 'string' ? expect.stringContaining(todo) : expect.stringMatching(todo),
})

test('with nothing in the way, probes arrive as they were sent', async () => {
  expect(await probe()).toMatchObject({
    webhook_address: { state: 'ok', details: { url: outside.url } },
    webhook_probe: { state: 'ok', todo: null, details: { status: 202, unchanged: true, signature: 'valid' } },
    webhook_body: { state: 'ok', details: { unchanged: true, signature: 'valid' } },
    proxy_buffering: { state: 'ok' },
  })
})

describe('what stands in the way, and what to do', () => {
  const rows: [what: string, fault: Parameters<Outside['set']>[0], expected: object][] = [
    [
      'a redirect to https',
      FAULTS.answers(301, { location: 'https://queue.example.com/webhooks/replicate' }),
      says('failed', 'Replicate does not follow redirects', 'PUBLIC_URL=https://queue.example.com'),
    ],
    [
      'a redirect to a name with www',
      (incoming, outgoing, pass) =>
        FAULTS.answers(308, { location: `https://www.example.com${incoming.url}` })(incoming, outgoing, pass),
      says('failed', '(308)', 'PUBLIC_URL=https://www.example.com'),
    ],
    [
      'a slash that is appended',
      FAULTS.answers(302, { location: '/webhooks/replicate/' }),
      says('failed', '(302)', 'appends a slash'),
    ],
    [
      'a login page',
      FAULTS.answers(302, { location: 'https://login.example.com/?next=%2Fwebhooks' }),
      says('failed', 'redirects (302)', 'without a login'),
    ],
    [
      'a wrong path',
      FAULTS.answers(404, { server: 'nginx' }, 'Not Found'),
      says('failed', '404 (nginx)', 'Pass this path on'),
    ],
    [
      'a tunnel that is gone',
      FAULTS.answers(404, { 'ngrok-error-code': 'ERR_NGROK_3200' }, 'The endpoint is offline.'),
      says('failed', 'tunnel', 'A restarted tunnel has a new name'),
    ],
    [
      'a tunnel whose program is gone',
      FAULTS.answers(530, { server: 'cloudflare' }, 'error code: 1033'),
      says('failed', 'tunnel', 'Start the tunnel'),
    ],
    [
      'a password of the proxy',
      FAULTS.answers(401, { 'www-authenticate': 'Basic' }),
      says('failed', 'asks for credentials', 'without credentials'),
    ],
    [
      'a firewall of the proxy',
      FAULTS.answers(403, { server: 'cloudflare' }),
      says('failed', '403 (cloudflare)', 'for all addresses'),
    ],
    ['a route for GET only', FAULTS.answers(405), says('failed', 'POST is not allowed', 'with its method')],
    ['a rate limit of the proxy', FAULTS.answers(429), says('failed', 'rate limit of the proxy', 'Exempt')],
    ['an api that is down', FAULTS.answers(502, { server: 'nginx' }), says('failed', '502 (nginx)', 'Start the api')],
    [
      'another site',
      FAULTS.answers(200, { 'content-type': 'text/html' }, '<h1>Hello</h1>'),
      says('failed', 'something else than genqueue', 'warning page'),
    ],
    [
      'the listener of a worker',
      FAULTS.answers(404, {}, '{"type":"urn:genqueue:error:not_found","code":"not_found"}'),
      says('failed', 'not its api', 'PORT of the api'),
    ],
    [
      'a query that is dropped',
      FAULTS.withoutQuery,
      says('failed', 'does not know the token', 'drops the query string'),
    ],
    ['headers that are dropped', FAULTS.withoutWebhookHeaders, says('failed', 'did not arrive', 'Pass all headers on')],
    [
      'a body that is parsed and written again',
      FAULTS.withBody((body) => Buffer.from(JSON.stringify(JSON.parse(body.toString())))),
      says('failed', 'The body was changed', 'byte for byte'),
    ],
    [
      'one changed byte',
      FAULTS.withBody((body) => Buffer.from(body.toString().replace('probe"', 'Probe"'))),
      says('failed', 'with other contents', 'byte for byte'),
    ],
    [
      'a connection that is closed',
      (incoming) => void incoming.destroy(),
      says('failed', 'closed the connection', 'log of the proxy'),
    ],
    ['silence', (incoming) => void incoming.resume(), says('failed', 'did not respond in time', 'reaches the api')],
  ]
  test.each(rows)('%s', async (_what, fault, expected) => {
    outside.set(fault)
    const found = await probe({ sender: createProbeSender({ answerMs: 300 }) })
    expect(found.webhook_probe).toMatchObject(expected)
    expect(found.webhook_body).toMatchObject({ state: 'skipped' })
  })

  test.each([
    ['refuses large bodies', FAULTS.limits(100_000), says('failed', '413 (nginx)', 'client_max_body_size')],
    ['cuts large bodies', FAULTS.cuts(100_000), says('failed', 'A small body passes', 'client_max_body_size')],
  ])('a proxy that %s', async (_what, fault, expected) => {
    outside.set(fault)
    const found = await probe()
    expect(found.webhook_probe).toMatchObject({ state: 'ok' })
    expect(found.webhook_body).toMatchObject(expected)
  })

  test('a proxy that keeps responses back', async () => {
    outside.set(FAULTS.buffers(() => service.url))
    const found = await probe()
    expect(found.webhook_probe).toMatchObject({ state: 'ok' })
    expect(found.proxy_buffering).toMatchObject(says('warning', 'buffering', 'proxy_buffering off'))
  })

  test('a secret of another account', async () => {
    const other = `whsec_${Buffer.alloc(24, 7).toString('base64')}`
    const { webhook_probe } = await probe({ secret: () => Promise.resolve(other) })
    expect(webhook_probe).toMatchObject(says('failed', 'another signing secret', 'REPLICATE_WEBHOOK_SECRET'))
  })

  test('no secret to sign with: the way is tried all the same', async () => {
    const { webhook_probe } = await probe({ secret: () => Promise.resolve(null) })
    expect(webhook_probe).toMatchObject(says('warning', 'arrived unchanged', '`replicate`'))
  })

  test.each([
    ['six minutes', 360_000, 'failed'],
    ['two minutes', 120_000, 'warning'],
  ] as const)('clocks that differ by %s', async (_what, ms, state) => {
    const { webhook_probe } = await probe({ now: () => Date.now() - ms })
    expect(webhook_probe).toMatchObject(says(state, `${ms / 1000} s ahead`, 'NTP'))
  })

  test('a name that does not resolve', async () => {
    const { webhook_probe } = await probe({ publicUrl: () => 'http://gone.invalid' })
    expect(webhook_probe).toMatchObject(
      says('failed', /gone\.invalid (?:does not resolve|could not be resolved)/, 'PUBLIC_URL'),
    )
  })

  test('a port at which nothing listens', async () => {
    const port = await freePort()
    const { webhook_probe } = await probe({ publicUrl: () => `http://127.0.0.1:${port}` })
    expect(webhook_probe).toMatchObject(says('failed', 'refuses connections', 'Start the proxy or the tunnel'))
  })

  test('another Redis behind the api', async () => {
    const { webhook_probe } = await probe({ generation: () => '0123456789abcdef' })
    expect(webhook_probe).toMatchObject(says('failed', 'another state of Redis', 'REDIS_URL'))
  })

  test('TLS: a certificate that nobody signed, none at all; a good one passes', async () => {
    const { key, cert, ca } = await makeCertificate('127.0.0.1')
    const server = createTlsServer({ key, cert }, (incoming, outgoing) => {
      incoming.resume()
      outgoing.writeHead(418).end()
    })
    const plain = createServer((socket) => socket.on('error', () => undefined).end('not TLS'))
    for (const one of [server, plain]) await new Promise<void>((resolve) => one.listen(0, '127.0.0.1', resolve))
    const url =
      (one: typeof plain, host = '127.0.0.1') =>
      () =>
        `https://${host}:${(one.address() as AddressInfo).port}`
    try {
      const unsigned = await probe({ publicUrl: url(server) })
      expect(unsigned.webhook_probe).toMatchObject(says('failed', /TLS certificate/, /public authority/))
      const trusting = { sender: createProbeSender({ ca }) }
      const none = await probe({ publicUrl: url(plain) })
      expect(none.webhook_probe).toMatchObject(says('failed', 'No TLS connection', 'scheme and port'))
      const good = await probe({ ...trusting, publicUrl: url(server) })
      expect(good.webhook_probe).toMatchObject({ state: 'failed', details: { status: 418 } })
    } finally {
      server.close()
      plain.close()
    }
  })

  test('an address of http, or of this network, for the real Replicate', async () => {
    const plain = await probe({ isUpstreamLocal: false })
    expect(plain.webhook_address).toMatchObject(says('failed', 'only https', 'https URL'))
    const near = await probe({ isUpstreamLocal: false, publicUrl: () => 'https://127.0.0.1:1' })
    expect(near.webhook_address).toMatchObject(says('warning', 'not reachable from the internet', 'tunnel'))
  })

  test('no PUBLIC_URL: polling, which loses nothing', async () => {
    const found = await probe({ publicUrl: () => null })
    expect(found.webhook_address).toMatchObject(says('skipped', 'finish by polling', 'PUBLIC_URL'))
    expect(found.webhook_probe).toMatchObject({ state: 'skipped' })
  })
})

describe('the receiver', () => {
  test('answers no probe that nobody opened, no old one, and none without the token', async () => {
    const before = await service.redis.xlen(service.keys.deadLetters)
    const id = `probe_${ulid()}`
    const sent = signer.sign(signer.tokens.url(id, 1), '{"id": 1}')
    expect(await sendWebhook(sent)).toBe(401)
    const probes = createRedisOpenProbes(service.redis, service.keys)
    await probes.open(id)
    expect(await sendWebhook({ ...sent, url: sent.url.replace(/token=.{4}/, 'token=AAAA') })).toBe(401)
    expect(await sendWebhook(signer.sign(signer.tokens.url(id, 2), '{}'))).toBe(202)
    expect(await sendWebhook(sent)).toBe(202)
    await probes.close(id)
    expect(await sendWebhook(sent)).toBe(401)
    expect(await service.redis.xlen(service.keys.deadLetters)).toBe(before)
  })

  test('changes nothing by a probe: no job, no dead letter, no silence of webhooks', async () => {
    const account = service.keys.account('default')
    await service.redis.hset(account, 'silence', '1')
    const before = await service.client.health()
    expect((await probe()).webhook_probe).toMatchObject({ state: 'ok' })
    const after = await service.client.health()
    expect(await service.redis.hget(account, 'silence')).toBe('1')
    await service.redis.hset(account, 'silence', '0')
    expect([after.jobs, after.webhooks.dead_letters, after.finished_by]).toEqual([
      before.jobs,
      before.webhooks.dead_letters,
      before.finished_by,
    ])
  })
})

interface Report {
  state: string
  checks: CheckResult[]
}
const byName = ({ checks }: Report): Partial<Record<CheckName, CheckResult>> =>
  Object.fromEntries(checks.map((check) => [check.name, check]))

const doctor = (env = settings, ...args: string[]): Promise<Ended> => runGenqueue(['doctor', ...args], { env })
const reportOf = ({ stdout }: Ended): Report => JSON.parse(stdout) as Report

async function ask(url: string): Promise<Report> {
  const answer = await fetch(`${url}/v1/admin/doctor`, { headers: { authorization: `Bearer ${TEST_KEY}` } })
  expect(answer.status).toBe(200)
  return (await answer.json()) as Report
}

/** Sets a field that its model does not have. */
const WRONG_PRESET = `
name: story-page
title: Wrong
description: Wrong
model: black-forest-labs/flux-schnell
input: { default: { no_such_field: 1 }, overrides: [prompt] }
schema: model
output: files
`

describe('over HTTP', () => {
  test('a worker sends the probes, and everything is found to be right', async () => {
    const report = await ask(service.url)
    expect(report.checks.filter(({ state }) => state !== 'ok')).toEqual([
      expect.objectContaining({ name: 'credit', state: 'skipped' }),
      expect.objectContaining({ name: 'mail', state: 'skipped' }),
    ])
    expect(report.state).toBe('ok')
    expect(byName(report)).toMatchObject({
      redis: { details: { role: 'master', maxmemory_policy: 'noeviction' } },
      storage: { seen: 'A file was written, read back and removed.' },
      presets: { details: { 'story-page': 'fits black-forest-labs/flux-schnell' } },
      webhook_probe: { details: { signature: 'valid' } },
    })
  })

  test('a fault outside is in the report', async () => {
    outside.set(FAULTS.answers(301, { location: 'https://a.example/webhooks/replicate' }))
    const report = await ask(service.url)
    expect(report.state).toBe('failed')
    expect(byName(report)).toMatchObject({ webhook_probe: { state: 'failed' }, webhook_body: { state: 'skipped' } })
  })
})

describe('on the command line', () => {
  test('prints every check, and 0 when all is right; --json prints the report', async () => {
    const text = await doctor()
    expect(text).toMatchObject({ exit: 0, stderr: 'No problem found.\n' })
    expect(text.stdout).toMatch(/^ok {8}Webhook from outside \(webhook_probe\): A signed probe arrived unchanged/m)
    const json = await doctor(settings, '--json')
    expect([json.exit, json.stderr, reportOf(json).state]).toEqual([0, '', 'ok'])
  })

  test('1 for a failure, with what to do', async () => {
    outside.set(FAULTS.answers(404))
    const { exit, stdout } = await doctor()
    expect(exit).toBe(1)
    expect(stdout).toMatch(/^FAILED {4}Webhook from outside .*404/m)
    expect(stdout).toMatch(/^ {10}> Pass this path on/m)
  })

  test('6 for warnings only', async () => {
    const ended = await doctor({ ...settings, PUBLIC_URL: 'https://other.example.com' }, '--json')
    expect(ended.exit).toBe(6)
    expect(byName(reportOf(ended)).webhook_address).toMatchObject(
      says('warning', 'https://other.example.com', 'workers and apis alike'),
    )
  })

  test('without Redis: the rest is checked, with what is wrong there', async () => {
    const port = await freePort()
    await service.simulator.faults({ account: { status: { code: 401 } } })
    const folder = tempDir()
    writeFileSync(join(folder, 'story-page.yaml'), WRONG_PRESET)
    const ended = await doctor(
      {
        ...settings,
        REDIS_URL: `redis://127.0.0.1:${port}`,
        PUBLIC_URL: outside.url,
        PRESETS_DIR: folder,
        DISK_RESERVE: String(2 ** 50),
      },
      '--json',
    )
    await service.simulator.faults({ account: null })
    expect(ended.exit).toBe(1)
    expect(byName(reportOf(ended))).toMatchObject({
      redis: says('failed', 'does not respond', 'REDIS_URL'),
      workers: { state: 'skipped' },
      webhook_probe: says('skipped', 'A webhook receiver of genqueue responds', '`redis`'),
      replicate: says('failed', 'refuses the token (401)', 'REPLICATE_API_TOKEN'),
      presets: says(
        'failed',
        'story-page: /input/default/no_such_field The schema has no such field',
        'docs/presets.md',
      ),
      storage: { state: 'ok' },
      storage_space: says('failed', 'refused with 507', 'DISK_RESERVE'),
    })
  })

  test('without a deployment of this name', async () => {
    outside.set(FAULTS.answers(301, { location: 'https://queue.example.com/webhooks/replicate' }))
    const env = { ...settings, KEY_PREFIX: 'nobody-was-here', PRESETS_DIR: tempDir(), PUBLIC_URL: outside.url }
    const ended = await doctor(env, '--json')
    expect(byName(reportOf(ended))).toMatchObject({
      redis: says('failed', 'no deployment of the name nobody-was-here', 'KEY_PREFIX'),
      presets: { state: 'skipped' },
      webhook_probe: says('failed', '301', 'PUBLIC_URL=https://queue.example.com'),
    })
  })
})

describe('--prediction', () => {
  const env = (): Record<string, string> => ({ ...settings, GENQUEUE_URL: service.url, GENQUEUE_API_KEY: TEST_KEY })
  const found = (ended: Ended): CheckResult | undefined => byName(reportOf(ended)).prediction

  test('makes one, says first that its price is unknown, and by what it was finished', async () => {
    const ended = await doctor(env(), '--prediction', '--json')
    expect(reportOf(ended).checks.filter(({ state }) => state !== 'ok' && state !== 'skipped')).toEqual([])
    expect(ended.exit).toBe(0)
    expect(ended.stderr).toContain('replicate/hello-world once. The price is unknown')
    expect(found(ended)).toMatchObject({
      state: 'ok',
      seen: expect.stringContaining('its webhook finished it') as string,
    })
    expect(found(ended)?.details).toMatchObject({ status: 'succeeded', finished_by: 'webhook', captured_credits: null })
    await expect(service.client.get(String(found(ended)?.details['job']))).rejects.toMatchObject({ status: 404 })
  })

  test('of a preset says its price', async () => {
    const ended = await doctor(env(), '--prediction', '--preset', 'story-page', '--input', 'prompt=a fox', '--json')
    expect(ended.stderr).toContain('The price of the preset is 0.003 credits')
    expect(found(ended)?.details).toMatchObject({ status: 'succeeded', captured_credits: 3000 })
  })

  test('says what the api refuses, that no api responds, and what failed', async () => {
    const refused = await doctor(env(), '--prediction', '--preset', 'story-page', '--json')
    expect(found(refused)).toMatchObject(says('failed', 'invalid_request', 'Correct what the message names'))
    const port = await freePort()
    const away = await doctor({ ...env(), GENQUEUE_URL: `http://127.0.0.1:${port}` }, '--prediction', '--json')
    expect(found(away)).toMatchObject(says('failed', 'cannot be reached', 'GENQUEUE_URL'))
    await service.simulator.faults({ predictions: { fail: { next: 1, error: 'out of memory' } } })
    const broken = await doctor(env(), '--prediction', '--json')
    expect(found(broken)).toMatchObject(says('failed', 'did not succeed', 'docs/errors.md'))
  })
})

test('without a worker: an api says so, and the command line sends the probes itself', async () => {
  const prefix = freshPrefix()
  const env = { ...settings, KEY_PREFIX: prefix, PUBLIC_URL: outside.url }
  const alone = await startService({ env: { ...env, ROLE: 'api' } })
  try {
    outside.leadTo(alone.url)
    const report = await ask(alone.url)
    expect(byName(report)).toMatchObject({
      workers: says('failed', 'No worker is running', 'Start a worker'),
      webhook_probe: says('failed', 'No worker answered', 'Start a worker'),
      storage: { state: 'ok' },
    })
    const { simulator } = alone
    const ended = await doctor({ ...env, REPLICATE_BASE_URL: simulator.apiUrl }, '--json')
    expect(ended.exit).toBe(1)
    expect(byName(reportOf(ended))).toMatchObject({ workers: { state: 'failed' }, webhook_probe: { state: 'ok' } })
  } finally {
    outside.leadTo(service.url)
    await alone.stop()
  }
})

test('a worker that takes no request, or does not finish, is not waited for without end', async () => {
  const { redis, keys } = service
  const asking = (ring: (run: string) => Promise<unknown>) =>
    createRedisAskWorker(redis, keys, {
      ring: async (run) => void (await ring(run)),
      unring: () => Promise.resolve(),
      takenWithin: 20,
      finishedWithin: 40,
    }).ask()
  const answers = createRedisDoctorAnswers(redis, keys)
  let last = ''
  expect(await asking(async (run) => (last = run))).toEqual({ kind: 'not_taken' })
  expect(await answers.begin(last)).toBe(false)
  expect(await asking(answers.begin)).toEqual({ kind: 'not_finished' })
  const known = {
    name: 'storage',
    title: 'File storage',
    state: 'ok',
    seen: 'yes',
    todo: null,
    details: {},
    duration_ms: 1,
  } as const
  const newer = { ...known, name: 'of a newer release' } as unknown as CheckResult
  expect(await asking((run) => answers.answer(run, [known, newer]))).toEqual({ kind: 'answered', results: [known] })
})
