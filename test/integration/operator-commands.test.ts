import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { failureOf } from '../../src/cli/failures.ts'
import { KEY_ACTIONS, MAKING_ACTIONS, type KeyOptions } from '../../src/cli/keys-command.ts'
import { readDuration } from '../../src/cli/read-options.ts'
import { once } from '../../src/cli/once.ts'
import { TENANT_ACTIONS, type TenantOptions } from '../../src/cli/tenants-command.ts'
import { createJobKeys } from '../../src/shared/jobs/record/job-keys.ts'
import { loadDeployment } from '../../src/shared/redis/deployment.ts'
import { keyIdOf } from '../../src/shared/tenants/rules/api-key.ts'
import { createRedisTenantStore } from '../../src/shared/tenants/redis-tenant-store.ts'
import { createTenantAdmin, type MadeKey } from '../../src/shared/tenants/tenant-admin.ts'
import { createTenantKeys } from '../../src/shared/tenants/tenant-keys.ts'
import type { ApiKey, Tenant } from '../../src/shared/tenants/rules/tenant.ts'
import { ended, runGenqueue, startGenqueue, type Ended } from '../support/genqueue.ts'
import { code, createOperator, type KeyBody } from '../support/operator.ts'
import { freshPrefix, testRedisUrl } from '../support/redis.ts'
import { startService, type TestService } from '../support/start-service.ts'

const KEY_PREFIX = freshPrefix()

/** There was a service once; none runs when the commands do. */
const redis = new Redis(testRedisUrl())
let service: TestService | undefined
beforeAll(() => loadDeployment(redis, createJobKeys(KEY_PREFIX).deployment))
afterAll(async () => {
  redis.disconnect()
  await service?.stop()
})

const settings = { REDIS_URL: testRedisUrl(), KEY_PREFIX }
const genqueue = (line: string, env = settings): Promise<Ended> => runGenqueue(line.split(' '), { env })
/** The same as a separate process. */
const runAlone = (line: string): Promise<Ended> => ended(startGenqueue(line.split(' '), { env: settings }))

const lines = <T>({ stdout }: Ended): T[] =>
  stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as T)

test('tenants and keys are made while no service runs, and open the API when it does', async () => {
  const created = await genqueue('tenants create acme --title Acme --requests-per-minute 600 --json')
  expect(created).toMatchObject({ exit: 0, stderr: '' })
  expect(lines(created)).toMatchObject([{ id: 'acme', title: 'Acme', own_limits: { requests_per_minute: 600 } }])

  const [plain, asJson] = await Promise.all([
    runAlone('keys create acme --title ci --scopes jobs:read --expires 90d'),
    genqueue('keys create acme --json'),
  ])
  expect(plain.exit).toBe(0)
  const key = plain.stdout.trimEnd()
  expect(keyIdOf(key)).not.toBeNull()
  expect(plain.stderr).toContain('cannot be shown again')
  const [made] = lines<KeyBody>(asJson)
  expect(made).toMatchObject({ tenant: 'acme', state: 'active', scopes: ['jobs:write', 'jobs:read', 'credits:read'] })

  const revoked = await genqueue(`keys revoke ${keyIdOf(key)}`)
  const [head, row, ...rest] = revoked.stdout.trimEnd().split('\n')
  expect(head).toMatch(/^ID +TENANT +TITLE +SCOPES +STATE +CREATED +EXPIRES +LAST USED$/)
  expect(row).toMatch(new RegExp(`^${keyIdOf(key)} +acme +ci +jobs:read +revoked `))
  expect([revoked.exit, rest]).toEqual([0, []])

  service = await startService({ env: { KEY_PREFIX } })
  const operator = createOperator(service)
  expect((await operator.ask('/v1/jobs', { key: made?.key ?? '' })).status).toBe(200)
  expect(code(await operator.ask('/v1/jobs', { key }))).toEqual([401, 'unauthenticated'])
})

test('the key of tokens is rotated, and not again at once unless that is forced', async () => {
  const { deployment } = createJobKeys(KEY_PREFIX)
  const keys = () => redis.hmget(deployment, 'key', 'previous_key')
  const [first] = await keys()
  expect(await genqueue('rotate-token-key')).toMatchObject({ exit: 0, stderr: '' })
  const [second, previous] = await keys()
  expect([previous, second === first]).toEqual([first, false])
  const again = await genqueue('rotate-token-key')
  expect(again).toMatchObject({ exit: 4, stdout: '' })
  expect(again.stderr).toContain('Wait 120 min')
  expect(await keys()).toEqual([second, first])
  const inJson = await genqueue('rotate-token-key --json')
  expect(inJson).toMatchObject({ exit: 4, stdout: '' })
  expect(JSON.parse(inJson.stderr)).toMatchObject({ error: { code: 'rotated_before' } })
  expect(await genqueue('rotate-token-key --force --json')).toMatchObject({ exit: 0, stdout: '{"rotated":true}\n' })
  expect(await genqueue('rotate-link-key --now --json')).toMatchObject({ exit: 0, stdout: '{"rotated":true}\n' })
  expect((await keys())[1]).toBe(second)
  expect(`${again.stdout}${again.stderr}`).not.toContain(second)
})

test('options take default and never, which are no values of their own, and each action has its own options', async () => {
  await genqueue('tenants create defaults --queued-jobs 3 --stored-files 5 --keep-files 90d')
  const limits = await genqueue('tenants limits defaults --queued-jobs default --stored-files 7 --json')
  expect(lines(limits)).toMatchObject([{ own_limits: { queued_jobs: null, stored_files: 7 } }])
  const keep = await genqueue('tenants keep defaults --keep-files default --keep-payload 1h --json')
  expect(lines(keep)).toMatchObject([{ keep: { files: null, payload: '1h' } }])
  const [made] = lines<KeyBody>(await genqueue('keys create defaults --expires 1d --json'))
  expect(made?.expires_at).not.toBeNull()
  const next = await genqueue(`keys rotate ${made?.id} --expires never --grace 2d --json`)
  expect(lines(next)).toMatchObject([{ tenant: 'defaults', expires_at: null }])

  const [elsewhere, missing, inJson] = await Promise.all([
    genqueue('keys list defaults --grace 1d'),
    genqueue('credits show'),
    genqueue('audit --dance --json'),
  ])
  expect(elsewhere).toMatchObject({ exit: 2, stdout: '', stderr: expect.stringContaining("'--grace'") })
  expect(missing).toMatchObject({ exit: 2, stdout: '', stderr: expect.stringContaining("'tenant'") })
  expect(inJson).toMatchObject({ exit: 2, stdout: '' })
  expect(JSON.parse(inJson.stderr)).toMatchObject({ error: { code: 'usage', message: "unknown option '--dance'" } })
})

test('exit codes distinguish a failed operation from a usage error', async () => {
  const [missing, inJson, wrong, nothing] = await Promise.all([
    runAlone('keys create nobody'),
    genqueue('tenants show nobody --json'),
    genqueue('tenants create Big'),
    genqueue('tenants list', { ...settings, KEY_PREFIX: 'nobody-was-here' }),
  ])
  expect(missing).toMatchObject({ exit: 4, stdout: '', stderr: 'genqueue: Tenant nobody does not exist.\n' })
  expect(inJson).toMatchObject({ exit: 4, stdout: '' })
  expect(JSON.parse(inJson.stderr)).toMatchObject({
    error: { code: 'not_found', message: 'Tenant nobody does not exist.' },
  })
  expect(wrong).toMatchObject({ exit: 2, stdout: '', stderr: expect.stringContaining('<id>: expected') })
  expect(nothing).toMatchObject({ exit: 2, stdout: '', stderr: expect.stringContaining('KEY_PREFIX') })
})

describe('what a command does', () => {
  const store = createRedisTenantStore({
    redis,
    keys: createTenantKeys(`{${freshPrefix()}}`),
    defaults: { requests_per_minute: 60, queued_jobs: 7 },
    deployment: null,
  })
  const admin = createTenantAdmin(store)
  const tenants = (action: keyof typeof TENANT_ACTIONS, id: string, options: TenantOptions = {}): Promise<Tenant[]> =>
    TENANT_ACTIONS[action](admin, id, options)
  const keys = (action: keyof typeof KEY_ACTIONS, of: string): Promise<ApiKey[]> => KEY_ACTIONS[action](admin, of)
  const make = (action: keyof typeof MAKING_ACTIONS, of: string, options: KeyOptions = {}): Promise<MadeKey> =>
    MAKING_ACTIONS[action](admin, of, options)

  test('with tenants', async () => {
    await tenants('create', 'acme', { queuedJobs: 3 })
    expect(await tenants('limits', 'acme', { requestsPerMinute: 9 })).toMatchObject([
      { title: 'acme', limits: { requests_per_minute: 9, queued_jobs: 3 } },
    ])
    expect(await tenants('limits', 'acme', { queuedJobs: null })).toMatchObject([{ limits: { queued_jobs: null } }])
    expect(await tenants('show', 'acme')).toMatchObject([{ cors_origins: null }])
    const pages = 'https://app.acme.example, https://acme.example'
    expect(await tenants('origins', 'acme', { corsOrigins: pages })).toMatchObject([
      { cors_origins: ['https://app.acme.example', 'https://acme.example'], limits: { requests_per_minute: 9 } },
    ])
    expect(await tenants('origins', 'acme', { corsOrigins: 'none' })).toMatchObject([{ cors_origins: [] }])
    expect(await tenants('origins', 'acme', { corsOrigins: 'default' })).toMatchObject([{ cors_origins: null }])
    expect(await tenants('mail', 'acme', { mailToMetadata: 'yes' })).toMatchObject([{ mail_to_metadata: true }])
    expect(await tenants('mail', 'acme', { mailToMetadata: 'no' })).toMatchObject([{ mail_to_metadata: false }])
    expect(await tenants('limits', 'acme', { mailsPerHour: 7 })).toMatchObject([{ limits: { mails_per_hour: 7 } }])
    await expect(tenants('origins', 'acme', { corsOrigins: '*' })).rejects.toThrow('List each origin')
    const keep = { payload: '1h', files: 'forever' }
    expect(await tenants('keep', 'acme', { keep })).toMatchObject([{ keep: { payload: 3600, files: Infinity } }])
    expect((await tenants('keep', 'acme', { keep: { files: null } }))[0]?.keep).toEqual({ payload: 3600 })
    await expect(tenants('keep', 'acme', { keep: { job: 'forever' } })).rejects.toThrow('--keep-job')
    expect(await tenants('suspend', 'acme')).toMatchObject([{ suspended_at: expect.any(Number) }])
    expect(await tenants('resume', 'acme')).toMatchObject([{ suspended_at: null }])
    expect(await tenants('show', 'acme')).toMatchObject([{ id: 'acme' }])
    for (let i = 0; i < 120; i++) await tenants('create', `t${i}`)
    expect(await tenants('list', '')).toHaveLength(122)
    await expect(tenants('limits', 'acme', { queuedJobs: 0 })).rejects.toThrow('--queued-jobs: expected 1 or more.')
    await expect(tenants('suspend', 'default')).rejects.toMatchObject({ code: 'invalid_request' })
    await expect(tenants('show', 'nobody')).rejects.toMatchObject({ code: 'not_found' })
  })

  test('with keys', async () => {
    const made = await make('create', 'default', { title: 'ci', scopes: ['admin'], expires: 3600 })
    const { id, expires_at, created_at } = made.record
    expect(Math.abs((expires_at ?? 0) - created_at - 3_600_000)).toBeLessThan(60_000)
    const next = await make('rotate', id, { grace: 60, expires: null })
    expect(next.record).toMatchObject({ title: 'ci', scopes: ['admin'], expires_at: null })
    // Both may be of the same millisecond, by which they are listed.
    const listed = new Map((await keys('list', 'default'))?.map((key) => [key.id, key.replaced_by]))
    expect(listed).toEqual(
      new Map([
        [id, next?.record.id],
        [next?.record.id, null],
      ]),
    )
    expect(await keys('revoke', id)).toMatchObject([{ id, revoked_at: expect.any(Number) }])
    await expect(make('rotate', id)).rejects.toMatchObject({ code: 'key_not_active' })
    const again: KeyOptions = { title: 'once', expires: 3600, idempotencyKey: 'once' }
    const { record } = (await make('create', 'default', again)) ?? {}
    const known = { code: 'key_already_made', keyId: record?.id }
    await expect(make('create', 'default', again)).rejects.toMatchObject(known)
    await expect(make('create', 'default', { ...again, expires: 60 })).rejects.toMatchObject({
      code: 'idempotency_key_reused',
    })
    await expect(make('create', 'default', { scopes: ['root'] })).rejects.toThrow('--scopes: expected one of ')
    await expect(keys('revoke', '000000000000')).rejects.toMatchObject({ code: 'not_found' })
  })

  test('whose outcome is not known names the key that makes repeating it safe', async () => {
    const keys: string[] = []
    const silent = async (key: string): Promise<never> => {
      keys.push(key)
      throw new Error('Command timed out')
    }
    const failure = failureOf(await once(undefined, silent).catch((error: unknown) => error))
    expect(failure).toMatchObject({ exit: 3, message: expect.stringContaining(`--idempotency-key '${keys[0]}'`) })
    await expect(once('mine', silent)).rejects.toThrow("--idempotency-key 'mine'")
    await expect(once('', silent)).rejects.toThrow('1 to 255')
    expect(keys).toEqual([expect.stringMatching(/^[0-9a-f-]{36}$/), 'mine'])
  })

  test.each([
    ['90d', 7_776_000],
    ['12h', 43_200],
    ['30m', 1800],
    ['45s', 45],
  ])('%s are %i seconds', (text, seconds) => {
    expect(readDuration('expires', text)).toBe(seconds)
  })

  test.each(['', '5', 'd', '-1d', '1.5h', '1w', '9'.repeat(9) + 'd'])('%j is no duration', (text) => {
    expect(() => readDuration('grace', text)).toThrow('--grace')
  })
})
