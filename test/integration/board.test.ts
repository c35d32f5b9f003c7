import { createHmac } from 'node:crypto'
import { Queue } from 'bullmq'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { QUEUES } from '../../src/queues/contracts.ts'
import { startService, TEST_ADMIN_PASSWORD, TEST_KEY, type TestService } from '../support/start-service.ts'
import { testRedisUrl } from '../support/redis.ts'
import { sessionCookie } from '../support/session-cookie.ts'

const BOARD = '/admin/queues'

let service: TestService
let cookie: string
let queue: Queue
beforeAll(async () => {
  service = await startService()
  cookie = cookieOf(await login({ password: TEST_ADMIN_PASSWORD }))
  queue = new Queue('submit', { connection: { url: testRedisUrl() }, prefix: service.keys.queues })
  // Rings in an hour: something to look at, and to tamper with.
  await queue.add(
    'submit',
    { v: 1, job: `job_${'0'.repeat(26)}`, prompt: 'a secret prompt', nested: { input: 'a secret prompt' } },
    { jobId: 'submit-secret', delay: 3_600_000 },
  )
})
afterAll(async () => {
  await queue.close()
  await service.stop()
})

const login = (body: object, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${service.url}/admin/login`, {
    method: 'POST',
    redirect: 'manual',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
const cookieOf = (response: Response): string => (response.headers.get('set-cookie') ?? '').split(';')[0] ?? ''

const ask = (
  path: string,
  init: { method?: string; body?: string; headers?: Record<string, string> } = {},
): Promise<Response> =>
  fetch(service.url + BOARD + path, { redirect: 'manual', ...init, headers: { cookie, ...init.headers } })

/** All that BullMQ keeps of the queue. */
async function contents(): Promise<unknown> {
  const job = await queue.getJob('submit-secret')
  return {
    counts: await queue.getJobCounts(),
    paused: await queue.isPaused(),
    job: { data: job?.data as unknown, delay: job?.delay, name: job?.name },
  }
}

describe('the login', () => {
  test('takes the password as JSON or as a form, and opens the board', async () => {
    const json = await login({ password: TEST_ADMIN_PASSWORD })
    const form = await fetch(`${service.url}/admin/login`, {
      method: 'POST',
      redirect: 'manual',
      headers: { origin: service.url },
      body: new URLSearchParams({ password: TEST_ADMIN_PASSWORD }),
    })
    for (const response of [json, form]) {
      expect(response.status).toBe(303)
      expect(response.headers.get('location')).toBe(BOARD)
      expect((await ask('/api/queues', { headers: { cookie: cookieOf(response) } })).status).toBe(200)
    }
  })

  test('gives a cookie that no script and no other site can use', async () => {
    const flags = (await login({ password: TEST_ADMIN_PASSWORD })).headers.get('set-cookie') ?? ''
    expect(flags).toMatch(/^gq_admin=[\w-]+\.[\w-]+; Path=\/admin; Max-Age=\d+; HttpOnly; SameSite=Strict$/)
    expect(Number(/Max-Age=(\d+)/.exec(flags)?.[1])).toBeLessThanOrEqual(12 * 3600)
  })

  test.each([
    [{ password: 'wrong' }],
    [{ password: '' }],
    [{ password: [TEST_ADMIN_PASSWORD] }],
    [{}],
    [{ pass: TEST_ADMIN_PASSWORD }],
  ])('refuses %j', async (body) => {
    const response = await login(body)
    expect(response.status).toBe(401)
    expect(response.headers.get('set-cookie')).toBeNull()
  })

  test('is a matter of who the browser says sends it, wherever it says so', async () => {
    const sent = async (site: string, origin: string): Promise<number> =>
      (await login({ password: TEST_ADMIN_PASSWORD }, { 'sec-fetch-site': site, origin })).status
    // What a proxy made of Origin or Referrer-Policy does not matter then.
    expect(await sent('same-origin', 'null')).toBe(303)
    for (const site of ['same-site', 'cross-site', 'none']) expect(await sent(site, service.url)).toBe(403)
  })

  test('returns the form to a browser and a problem to a program, for every failure', async () => {
    const elsewhere = { 'sec-fetch-site': 'cross-site' }
    const cases: [body: object, headers: Record<string, string>, status: number, code: string][] = [
      [{ password: 'wrong' }, {}, 401, 'unauthenticated'],
      [{ password: TEST_ADMIN_PASSWORD }, elsewhere, 403, 'cross_site'],
      [{ password: 'x'.repeat(3000) }, {}, 413, 'body_too_large'],
    ]
    for (const [body, headers, status, code] of cases) {
      const program = await login(body, headers)
      expect([program.status, await program.json()]).toEqual([status, expect.objectContaining({ code })])
      const person = await login(body, { ...headers, accept: 'text/html,*/*' })
      expect([person.status, person.headers.get('content-type')]).toEqual([status, 'text/html; charset=utf-8'])
      expect(await person.text()).toMatch(/<p role="alert">[^<]+<\/p>\s*<form method="post"/)
    }
  })

  test('refuses another site', async () => {
    for (const origin of ['https://evil.example', 'null']) {
      const response = await login({ password: TEST_ADMIN_PASSWORD }, { origin })
      expect(response.status).toBe(403)
      expect(response.headers.get('set-cookie')).toBeNull()
    }
  })
})

describe('without the cookie', () => {
  test.each(['', '/', '/api/queues', '/static/main.js', '/queue/submit', '/api/redis/stats'])(
    '%s is closed',
    async (path) => {
      const response = await ask(path, {
        headers: { cookie: 'gq_admin=', authorization: `Bearer ${TEST_KEY}` },
      })
      expect(response.status).toBe(401)
      const browser = await ask(path, { headers: { cookie: '', accept: 'text/html' } })
      expect([browser.status, browser.headers.get('location')]).toEqual([303, '/admin/login'])
    },
  )

  test('spelled otherwise it is closed too', async () => {
    for (const path of [
      '/ADMIN/QUEUES/api/queues',
      '/admin/queues//api/queues',
      '/admin//queues/api/queues',
      '/admin/queues;/api/queues',
    ]) {
      const response = await fetch(service.url + path, { redirect: 'manual' })
      expect([401, 404]).toContain(response.status)
    }
  })

  test.each<[string, () => Promise<string> | string]>([
    ['forged', () => cookie.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'))],
    ['unsigned', () => cookie.split('.')[0] ?? ''],
    ['of the other kind', async () => `gq_admin=${(await sessionCookie(service.url, TEST_KEY)).value}`],
    [
      'expired',
      async () => {
        const key = Buffer.from((await service.redis.hget(service.keys.deployment, 'key')) ?? '', 'base64url')
        const text = Buffer.from(JSON.stringify({ kind: 'admin', expires: Date.now() / 1000 - 1 })).toString(
          'base64url',
        )
        return `gq_admin=${text}.${createHmac('sha256', key).update(`session:${text}`).digest('base64url')}`
      },
    ],
  ])('with one that is %s it is closed', async (_what, make) => {
    expect((await ask('/api/queues', { headers: { cookie: await make() } })).status).toBe(401)
  })

  test('under another host name it is closed', async () => {
    const { request } = await import('node:http')
    const status = await new Promise<number | undefined>((resolve, reject) => {
      request(service.url + BOARD, { headers: { host: 'evil.example', cookie } }, (response) => {
        response.resume()
        resolve(response.statusCode)
      })
        .on('error', reject)
        .end()
    })
    expect(status).toBe(401)
  })
})

interface Shown {
  queues: {
    name: string
    description?: string
    readOnlyMode: boolean
    allowRetries: boolean
    counts: Record<string, number>
  }[]
}

describe('the board', () => {
  test('lists every queue and says what it is for', async () => {
    const { queues } = (await (await ask('/api/queues')).json()) as Shown
    expect(Object.fromEntries(queues.map(({ name, description }) => [name, description]))).toEqual(
      Object.fromEntries(Object.entries(QUEUES).map(([name, { description }]) => [name, description])),
    )
    expect(queues.every(({ readOnlyMode, allowRetries }) => readOnlyMode && !allowRetries)).toBe(true)
  })

  test('shows its page with its own policy', async () => {
    const response = await ask('')
    expect(response.status).toBe(200)
    expect(await response.text()).toContain('genqueue')
    expect(response.headers.get('content-security-policy')).toContain("frame-ancestors 'none'")
    expect(response.headers.get('content-security-policy')).toContain("script-src 'self'")
  })

  test('shows ids, never what a customer wrote', async () => {
    const list = await (await ask('/api/queues?activeQueue=submit&status=delayed&page=1')).text()
    expect(list).toContain('submit-secret')
    expect(list).toContain(`job_${'0'.repeat(26)}`)
    expect(list).not.toContain('a secret prompt')
    const one = await ask('/api/queues/submit/submit-secret')
    const text = await one.text()
    expect([one.status, text]).toEqual([200, expect.stringContaining('[redacted]')])
    expect(text).not.toContain('a secret prompt')
  })
})

describe('nothing can be changed', () => {
  const changes: [method: string, path: string][] = [
    ['PUT', '/api/queues/submit/pause'],
    ['PUT', '/api/queues/submit/resume'],
    ['PUT', '/api/queues/pause'],
    ['PUT', '/api/queues/resume'],
    ['PUT', '/api/queues/submit/empty'],
    ['PUT', '/api/queues/submit/obliterate'],
    ['PUT', '/api/queues/submit/retry/failed'],
    ['PUT', '/api/queues/submit/promote'],
    ['PUT', '/api/queues/submit/clean/delayed'],
    ['PUT', '/api/queues/submit/concurrency'],
    ['PUT', '/api/queues/submit/rate-limit'],
    ['POST', '/api/queues/submit/add'],
    ['PUT', '/api/queues/submit/submit-secret/promote'],
    ['PUT', '/api/queues/submit/submit-secret/retry'],
    ['PUT', '/api/queues/submit/submit-secret/clean'],
    ['PATCH', '/api/queues/submit/submit-secret/update-data'],
    ['DELETE', '/api/queues/submit/submit-secret'],
  ]
  test.each(changes)('%s %s', async (method, path) => {
    const before = await contents()
    for (const type of ['application/json', 'text/plain', 'application/x-www-form-urlencoded'])
      for (const origin of [service.url, 'https://evil.example', 'null', undefined]) {
        const body =
          type === 'application/json' ? JSON.stringify({ name: 'x', data: {}, jobData: {}, options: {} }) : 'name=x'
        const headers = { 'content-type': type, ...(origin ? { origin } : {}) }
        const response = await ask(path, { method, headers, body })
        expect(response.status).toBe(origin === service.url ? 405 : 403)
      }
    expect(await contents()).toEqual(before)
  })
})
