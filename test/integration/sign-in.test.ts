import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { apiDescriptionSchema, METHODS } from '../../src/api/api-description.ts'
import { greeting, type GreetingParts } from '../../src/compose/greeting.ts'
import { localCredentials } from '../../src/shared/process/local-credentials.ts'
import { parseConfig } from '../../src/shared/settings/config.ts'
import { makeKey } from '../../src/shared/tenants/rules/api-key.ts'
import { freePort } from '../support/free-port.ts'
import { ended, startGenqueue, type Ended } from '../support/genqueue.ts'
import { createOperator } from '../support/operator.ts'
import { plainProxy } from '../support/plain-proxy.ts'
import { freshPrefix, testRedisUrl } from '../support/redis.ts'
import { spawnNode, spawnProcess, type SpawnedProcess } from '../support/spawn-process.ts'
import { startService, TEST_KEY } from '../support/start-service.ts'
import { tempDir } from '../support/temp-dir.ts'

/** Which clients get a session, and that none gets one by its address. */

const PICTURE = { model: 'black-forest-labs/flux-schnell', input: { prompt: 'x', megapixels: '0.25' } }
const MAIN = join(import.meta.dirname, '../../src/main.ts')
const CLI = join(import.meta.dirname, '../../src/cli/main.ts')

async function start(
  dataDir: string,
  env: Record<string, string> = {},
): Promise<{ main: SpawnedProcess; url: string }> {
  const main = spawnNode(MAIN, [], {
    env: { DATA_DIR: dataDir, PORT: '0', SIMULATOR_PORT: '0', LOG_LEVEL: 'info', ...env },
    cwd: dataDir,
  })
  await main.waitForLine(/Try it/)
  const [, url = ''] = await main.waitForLine(/Studio\s+(http:\S+)\//)
  return { main, url }
}

const codeIn = (text: string): string | undefined => /\/#code=([0-9a-f]{32})\b/.exec(text)?.[1]

const exchange = (url: string, body: object, origin = url): Promise<Response> =>
  fetch(`${url}/v1/session`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin },
    body: JSON.stringify(body),
  })
const cookieOf = (answer: Response): string => (answer.headers.get('set-cookie') ?? '').split(';')[0] ?? ''

/** Every request that a client without a key can try. */
async function anonymous(url: string): Promise<unknown> {
  const pages = await Promise.all(
    ['/', '/new', '/runs/x', '/docs', '/admin/login', '/nowhere'].map((path) =>
      fetch(url + path, { headers: { accept: 'text/html' } }),
    ),
  )
  const session = await fetch(`${url}/v1/session`)
  const jobs = await fetch(`${url}/v1/jobs`)
  const key = await fetch(`${url}/v1/admin/tenants/default/keys`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin: url },
    body: JSON.stringify({ scopes: ['admin'] }),
  })
  for (const answer of [...pages, session, jobs, key]) await answer.arrayBuffer()
  return {
    cookies: [...pages, session, jobs, key].map((answer) => answer.headers.get('set-cookie')).filter(Boolean),
    statuses: [session.status, jobs.status, key.status],
  }
}
const NOTHING = { cookies: [], statuses: [401, 401, 401] }

describe('by default, on a bare machine', () => {
  const dataDir = tempDir()
  let main: SpawnedProcess
  let url: string
  /** An unused code, and a session. */
  let spare: string
  let cookie: string
  let env: Record<string, string>
  beforeAll(async () => {
    env = { SIMULATOR_PORT: String(await freePort()) }
    ;({ main, url } = await start(dataDir, env))
  })
  afterAll(() => main.kill('SIGTERM'))
  const run = (...args: string[]): Promise<Ended> =>
    ended(startGenqueue(args, { cwd: dataDir, env: { DATA_DIR: dataDir, ...env } }))

  test('no client is signed in by its address, not even behind a proxy that hides itself', async () => {
    expect(await anonymous(url)).toEqual(NOTHING)
    expect(await anonymous(await plainProxy(url))).toEqual(NOTHING)
  })

  test('the printed link opens one session, by a POST from its page', async () => {
    const code = codeIn(main.stdout) ?? ''
    expect(code).toHaveLength(32)
    for (const method of ['GET', 'HEAD']) await fetch(`${url}/?code=${code}`, { method })
    expect((await exchange(url, { code }, 'https://evil.example')).status).toBe(403)
    for (const wrong of [{}, { code, key: 'x' }, { code: '' }, { code: 7 }])
      expect((await exchange(url, wrong)).status).toBe(422)
    const first = await exchange(url, { code })
    expect(first.status).toBe(204)
    expect(first.headers.get('set-cookie')).toMatch(/; HttpOnly; SameSite=Strict$/)
    const who = await fetch(`${url}/v1/session`, { headers: { cookie: cookieOf(first) } })
    expect(await who.json()).toMatchObject({ key_id: null, scopes: expect.arrayContaining(['admin']) })
    const again = await exchange(url, { code })
    expect([again.status, again.headers.get('set-cookie')]).toEqual([401, null])
    expect(await again.json()).toMatchObject({
      code: 'unauthenticated',
      detail: expect.stringContaining('genqueue login'),
    })
  })

  test('genqueue login prints another link, good once; its code is not in Redis', async () => {
    const login = await run('login')
    expect(login).toMatchObject({
      exit: 0,
      stdout: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/#code=[0-9a-f]{32}\n$/),
    })
    expect(login.stdout.startsWith(`${url}/#`)).toBe(true)
    const second = (await run('login', '--json', '--url', 'https://queue.example.com')).stdout
    spare = codeIn(second) ?? ''
    expect(JSON.parse(second)).toEqual({
      url: expect.stringMatching(/^https:\/\/queue\.example\.com\/#code=/),
      expires_in: 600,
    })
    const code = codeIn(login.stdout) ?? ''
    const password = readFileSync(join(dataDir, 'redis/redis.conf'), 'utf8').trim().split(' ')[1] ?? ''
    const { port } = JSON.parse(readFileSync(join(dataDir, 'redis/instance.json'), 'utf8')) as { port: number }
    const redis = new Redis({ port, password })
    try {
      const keys = await redis.keys('*login-code*')
      expect(keys).toHaveLength(2)
      expect(keys.join()).not.toContain(code)
      for (const key of keys) expect(await redis.ttl(key)).toBeGreaterThan(0)
    } finally {
      redis.disconnect()
    }
    expect((await exchange(url, { code })).status).toBe(204)
    expect((await exchange(url, { code })).status).toBe(401)
  })

  test('a code that does not exist is throttled as a key is', async () => {
    const guess = async (): Promise<number> => (await exchange(url, { code: 'f'.repeat(32) })).status
    const statuses = new Set<number>()
    for (let i = 0; i < 110; i++) statuses.add(await guess())
    expect([...statuses]).toEqual([401, 429])
    const right = await exchange(url, { code: spare })
    expect(right.status).toBe(204)
    cookie = cookieOf(right)
  })

  test('what is kept is closed to other users, and Redis to those who have no password', async () => {
    const modes = readdirSync(dataDir, { recursive: true, withFileTypes: true })
      .map((entry) => statSync(join(entry.parentPath, entry.name)))
      .filter(({ mode }) => (mode & 0o077) !== 0)
    expect(modes).toEqual([])
    expect(statSync(dataDir).mode & 0o777).toBe(0o700)
    const { port, pid } = JSON.parse(readFileSync(join(dataDir, 'redis/instance.json'), 'utf8')) as {
      port: number
      pid: number
    }
    const stranger = new Redis(port, { retryStrategy: () => null, enableReadyCheck: false })
    stranger.on('error', () => {})
    await expect(stranger.hgetall('{genqueue}:deployment')).rejects.toThrow(/NOAUTH/)
    stranger.disconnect()
    const password = readFileSync(join(dataDir, 'redis/redis.conf'), 'utf8').trim().split(' ')[1] ?? ''
    const seen = spawnProcess('ps', ['-o', 'args=', '-p', String(pid)])
    await seen.exited
    expect(seen.stdout).toContain('redis')
    expect(seen.stdout + main.stdout + main.stderr).not.toContain(password)
    expect((await run('audit', '--skip-files')).exit).toBe(0)
  })

  test('a session outlives a restart; the link of before does not, and a new one is printed', async () => {
    await main.kill('SIGTERM')
    const before = codeIn(main.stdout)
    const next = await start(dataDir, env)
    main = next.main
    url = next.url
    expect((await fetch(`${url}/v1/jobs`, { headers: { cookie } })).status).toBe(200)
    expect(codeIn(main.stdout)).not.toBe(before)
    expect((await exchange(url, { code: before })).status).toBe(401)
    expect((await exchange(url, { code: codeIn(main.stdout) })).status).toBe(204)
  })
})

test('with a real account and a public address no link is printed, and no client is signed in', async () => {
  const env = {
    REPLICATE_API_TOKEN: 'r8_test',
    REPLICATE_BASE_URL: 'http://127.0.0.1:9/v1',
    PUBLIC_URL: 'https://queue.example.com',
  }
  const dataDir = tempDir()
  const { main, url } = await start(dataDir, env)
  try {
    expect(codeIn(main.stdout)).toBeUndefined()
    const file = join(dataDir, 'credentials.json')
    const { apiKey: key, adminPassword } = JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>
    if (!key || !adminPassword) throw new Error('no credentials')
    for (const secret of [key, adminPassword]) expect(main.stdout + main.stderr).not.toContain(secret)
    expect(main.stdout).toContain(`apiKey in ${file}`)
    expect(main.stdout).toContain(`adminPassword in ${file}`)
    expect(main.stdout).toContain(`DATA_DIR='${dataDir}' npx genqueue submit`)
    const proxy = await plainProxy(url)
    expect(await anonymous(url)).toEqual(NOTHING)
    expect(await anonymous(proxy)).toEqual(NOTHING)
    // Whoever has the key signs in, also where the proxy does not pass its Host on; the cookie is for https.
    const signedIn = await exchange(proxy, { key }, 'https://queue.example.com')
    expect([signedIn.status, signedIn.headers.get('set-cookie')]).toEqual([204, expect.stringMatching(/; Secure$/)])
    const headers = { cookie: cookieOf(signedIn) }
    expect((await fetch(`${proxy}/v1/jobs`, { headers })).status).toBe(200)
    const elsewhere = await exchange(proxy, { key }, 'https://other.example.com')
    expect([elsewhere.status, await elsewhere.json()]).toEqual([
      403,
      expect.objectContaining({ code: 'cross_site', detail: expect.stringContaining('set PUBLIC_URL') }),
    ])
  } finally {
    await main.kill('SIGTERM')
  }
})

describe('behind a proxy', () => {
  const api = { ROLE: 'api', REDIS_URL: '', REPLICATE_API_TOKEN: 'test' }
  const FORWARDED = { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'queue.example.com' }
  const OWN = 'https://queue.example.com'

  test('that is trusted, scheme, host and address are what it says', async () => {
    const service = await startService({
      env: { ...api, REDIS_URL: testRedisUrl(), KEY_PREFIX: freshPrefix(), TRUST_PROXY: 'loopback' },
    })
    try {
      const proxy = await plainProxy(service.url, FORWARDED)
      const signedIn = await exchange(proxy, { key: TEST_KEY }, OWN)
      expect([signedIn.status, signedIn.headers.get('set-cookie')]).toEqual([204, expect.stringMatching(/; Secure$/)])
      expect((await exchange(proxy, { key: TEST_KEY }, 'http://queue.example.com')).status).toBe(403)
      expect((await exchange(proxy, { key: TEST_KEY }, proxy)).status).toBe(403)
      const board = await fetch(`${proxy}/admin/login`, {
        method: 'POST',
        redirect: 'manual',
        headers: { 'content-type': 'application/json', origin: OWN },
        body: JSON.stringify({ password: 'correct horse' }),
      })
      expect([board.status, board.headers.get('set-cookie')]).toEqual([303, expect.stringMatching(/; Secure$/)])
      // One client guesses until he must wait; another one does not.
      const ask = async (client: string): Promise<number> =>
        (
          await fetch(`${service.url}/v1/jobs`, {
            headers: { authorization: 'Bearer wrong', 'x-forwarded-for': `203.0.113.1, ${client}` },
          })
        ).status
      for (let i = 0; i < 100; i++) expect(await ask('192.0.2.1')).toBe(401)
      expect([await ask('192.0.2.1'), await ask('192.0.2.2')]).toEqual([429, 401])
      // On http loopback without a proxy, a cookie needs no https.
      const direct = await exchange(service.url, { key: TEST_KEY })
      expect(direct.headers.get('set-cookie')).not.toContain('Secure')
    } finally {
      await service.stop()
    }
  })

  test('that is not trusted, nothing of that counts', async () => {
    const service = await startService({ env: { ...api, REDIS_URL: testRedisUrl(), KEY_PREFIX: freshPrefix() } })
    try {
      const proxy = await plainProxy(service.url, FORWARDED)
      expect((await exchange(proxy, { key: TEST_KEY }, OWN)).status).toBe(403)
      const ask = async (client: number): Promise<number> =>
        (
          await fetch(`${service.url}/v1/jobs`, {
            headers: { authorization: 'Bearer wrong', 'x-forwarded-for': `192.0.2.${client}` },
          })
        ).status
      const statuses: number[] = []
      for (let i = 0; i < 101; i++) statuses.push(await ask(i))
      expect(statuses.at(-1)).toBe(429)
    } finally {
      await service.stop()
    }
  })
})

test('when Redis was emptied, or is another one, every route that asks for credentials says so: 503, not 401', async () => {
  const service = await startService()
  try {
    const { redis, url, keys } = service
    const operator = createOperator(service)
    const { key } = await operator.newKey('default')
    const job = await operator.finished(key, await operator.submit(key, PICTURE))
    const token = await operator.tokenFor(key, job.id)
    const session = await operator.sessionOf(key)
    const credentials: [what: string, headers: Record<string, string>][] = [
      ['a right key', { authorization: `Bearer ${key}` }],
      ['the development key', { authorization: `Bearer ${TEST_KEY}` }],
      ['a key of nobody', { authorization: `Bearer ${makeKey().key}` }],
      ['a token', { authorization: `Bearer ${token}` }],
      ['a session', session],
    ]
    const document = apiDescriptionSchema.parse(await (await fetch(`${url}/openapi.json`)).json())
    const routes = Object.entries(document.paths).flatMap(([path, item]) =>
      METHODS.filter((method) => item[method] && !/^\/(webhooks|livez|readyz|metrics|openapi|docs)/.test(path)).map(
        (method) => [method.toUpperCase(), path.replace(/\{\w+\}/g, job.id)] as const,
      ),
    )
    expect(routes.length).toBeGreaterThan(30)
    const outcomeOf = async (
      method: string,
      path: string,
      headers: Record<string, string>,
      body?: object,
    ): Promise<string> => {
      const text = method === 'POST' ? { body: JSON.stringify(body ?? {}) } : {}
      const type = { 'content-type': 'application/json', origin: url }
      const answer = await fetch(url + path, { method, headers: { ...type, ...headers }, ...text })
      const { code = '' } = JSON.parse((await answer.text()) || '{}') as { code?: string }
      return `${answer.status} ${code}`
    }
    const LOST = '503 deployment_lost'
    const link = (job.artifacts[0]?.url ?? '').replace(url, '')
    expect((await fetch(url + link)).status).toBe(200)
    const all = await redis.keys(`${keys.tag}:*`)
    for (const lose of [() => redis.hset(keys.deployment, 'id', 'depother'), () => redis.del(...all)]) {
      await lose()
      for (const [what, headers] of credentials)
        expect([what, await outcomeOf('GET', `/v1/jobs/${job.id}`, headers)]).toEqual([what, LOST])
      for (const one of [key, TEST_KEY]) expect(await outcomeOf('POST', '/v1/session', {}, { key: one })).toBe(LOST)
    }
    for (const [method, path] of routes.filter(([, one]) => one !== '/v1/session'))
      expect([method, path, await outcomeOf(method, path, { authorization: `Bearer ${key}` })]).toEqual([
        method,
        path,
        LOST,
      ])
    expect(await outcomeOf('GET', link, {})).toBe(LOST)
    // What is wrong by itself stays so, and what needs no data works.
    expect(await outcomeOf('GET', '/v1/jobs', { authorization: 'Bearer wrong' })).toBe('401 unauthenticated')
    expect((await fetch(`${url}/livez`)).status).toBe(200)
  } finally {
    await service.stop()
  }
})

test('credentials.json holds no key that DEV_API_KEY replaces', async () => {
  const dataDir = tempDir()
  const stored = (): unknown => JSON.parse(readFileSync(join(dataDir, 'credentials.json'), 'utf8'))
  const generated = await localCredentials(dataDir, { apiKey: null, adminPassword: null })
  expect(stored()).toEqual(generated)
  expect(await localCredentials(dataDir, { apiKey: null, adminPassword: null })).toEqual(generated)
  const { adminPassword } = generated
  expect(await localCredentials(dataDir, { apiKey: TEST_KEY, adminPassword: null })).toEqual({
    apiKey: TEST_KEY,
    adminPassword,
  })
  expect(stored()).toEqual({ adminPassword })
  const mode = statSync(join(dataDir, 'credentials.json')).mode & 0o777
  expect([mode, readdirSync(dataDir)]).toEqual([0o600, ['credentials.json']])
})

describe('the greeting', () => {
  const parts: GreetingParts = {
    adminPassword: null,
    devApiKey: TEST_KEY,
    made: { apiKey: false, adminPassword: false },
    printsSecrets: false,
    simulator: null,
    replicate: { token: 't', baseUrl: 'https://api.replicate.com/v1' },
  }

  test('says where webhooks may go besides public addresses', () => {
    const started = { url: null, signInUrl: null, healthUrl: null, webhooks: true }
    expect(greeting(parseConfig({}), parts, started)).toContain('http://localhost')
    expect(greeting(parseConfig({ REPLICATE_API_TOKEN: 't' }), parts, started)).not.toContain('localhost')
  })

  test('prints a command that works as it is pasted, with a key of one’s own and on every address', async () => {
    const env = { HOST: '0.0.0.0', PUBLIC_URL: 'http://127.0.0.1:9' }
    const service = await startService({ env })
    try {
      const { url } = service
      expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
      const started = { url, signInUrl: null, healthUrl: null, webhooks: true }
      const text = greeting(parseConfig({ ...env, DEV_API_KEY: TEST_KEY }), parts, started)
      expect(text).not.toContain(TEST_KEY)
      expect(text).toContain(`API docs`)
      for (const [, address = ''] of text.matchAll(/(http:\/\/127\S+\/(?:docs)?)\s/g))
        expect((await fetch(address)).status).toBe(200)
      const [, command = ''] = text.split('Try it:')
      const typed = command.replace('npx genqueue', `'${process.execPath}' '${CLI}'`)
      const paste = async (dotEnv: string): Promise<SpawnedProcess> => {
        const cwd = tempDir()
        writeFileSync(join(cwd, '.env'), dotEnv)
        const shell = spawnProcess('bash', ['-euo', 'pipefail', '-c', typed], { cwd, env: {} })
        await shell.exited
        return shell
      }
      const done = await paste(`DEV_API_KEY=${TEST_KEY}\n`)
      expect([(await done.exited).code, done.stdout]).toEqual([0, expect.stringContaining(`${url}/v1/artifacts/`)])
      expect((await paste('')).stderr).toContain('API key')
      const presetsOnly = greeting(parseConfig({ RAW_MODELS: 'presets' }), parts, started)
      expect(presetsOnly).toContain(`npx genqueue presets --url '${url}'`)
      const noKey = greeting(parseConfig({}), { ...parts, devApiKey: null }, started)
      expect(noKey).toContain('KEY=$(npx genqueue keys create default')
      expect(noKey).toContain('"Authorization: Bearer $KEY"')
    } finally {
      await service.stop()
    }
  })
})
