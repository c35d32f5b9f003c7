import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { loadDeployment } from '../../src/shared/redis/deployment.ts'
import { moneyScene, type MoneyScene } from '../support/money.ts'
import { ended, runGenqueue, startGenqueue, type Ended } from '../support/genqueue.ts'
import { testRedisUrl } from '../support/redis.ts'
import { openGate } from '../support/open-gate.ts'

const TENANT = 'default'

/** Jobs were run once; no service runs when the commands do. */
const redis = new Redis(testRedisUrl())
let scene: MoneyScene
let prefix: string
beforeAll(async () => {
  scene = moneyScene(redis)
  prefix = scene.keys.tag.slice(1, -1)
  await openGate(scene.generation, scene.real)
  await loadDeployment(redis, scene.keys.deployment)
  const { id } = await scene.accept(TENANT, { per_run: 100 })
  await scene.begin(id)
  await scene.end(id, 'succeeded')
  await scene.accept(TENANT, { per_run: 50 })
})
afterAll(() => redis.disconnect())

const env = (): Record<string, string> => ({ REDIS_URL: testRedisUrl(), KEY_PREFIX: prefix })
const genqueue = (...args: string[]): Promise<Ended> => runGenqueue(args, { env: env() })
/** The same as a separate process. */
const runAlone = (...args: string[]): Promise<Ended> => ended(startGenqueue(args, { env: env() }))
const records = ({ stdout }: { stdout: string }): unknown[] =>
  stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown)

test('credits are granted once, and shown, while no service runs', async () => {
  const grant = [
    'credits',
    'grant',
    TENANT,
    '--amount=1000',
    '--reason',
    'Invoice 7',
    '--idempotency-key',
    'i7',
    '--json',
  ]
  const granted = await genqueue(...grant)
  expect(granted).toMatchObject({ exit: 0, stderr: '' })
  expect(records(granted)).toMatchObject([{ kind: 'grant', amount: 1000, balance: 1000, reason: 'Invoice 7' }])
  const [again, wrong, tooMuch] = await Promise.all([
    genqueue(...grant),
    genqueue('credits', 'grant', TENANT, '--amount', '1e3', '--reason', 'x'),
    genqueue('credits', 'adjust', TENANT, '--amount=-1001', '--reason', 'a mistake'),
  ])
  expect(again).toMatchObject({ exit: 0, stdout: granted.stdout, stderr: 'This entry already existed.\n' })
  expect(wrong).toMatchObject({ exit: 2, stdout: '', stderr: expect.stringContaining('--amount: expected whole') })
  expect(tooMuch).toMatchObject({
    exit: 4,
    stdout: '',
    stderr: 'genqueue: The adjustment exceeds the balance of 1000 micro-credits.\n',
  })

  const [ledger, spending] = await Promise.all([
    genqueue('credits', 'ledger', TENANT, '--limit', '2'),
    genqueue('credits', 'spending', TENANT, '--by', 'preset'),
  ])
  const [head, newest, before] = ledger.stdout.split('\n')
  expect(head).toMatch(/^ID +AT +KIND +AMOUNT +BALANCE +HELD +CAPTURED +JOB OR REASON$/)
  expect(newest).toMatch(/ grant +1000 +1000 +50 +100 +Invoice 7$/)
  expect(before).toMatch(/ opening +150 +0 +50 +100 +-$/)
  expect(ledger.stderr).toMatch(/^More entries: --cursor \d+-\d+\n$/)
  expect(spending.stdout).toMatch(/picture +1 +100 +100 +0\ntotal +1 +100 +100 +0\n$/)
})

test('the balance below which the tenant is notified is set and shown', async () => {
  const set = (amount: string): Promise<Ended> => genqueue('credits', 'warn', TENANT, '--low-balance', amount, '--json')
  expect(records(await set('500'))).toMatchObject([{ tenant: TENANT, low_balance: 500 }])
  expect((await genqueue('credits', 'show', TENANT)).stdout).toMatch(/LOW BALANCE[^]* 500 /)
  for (const wrong of ['0', 'much', '-5']) expect((await set(wrong)).exit).toBe(2)
  expect(records(await set('none'))).toMatchObject([{ low_balance: null }])
})

test('the ledger is verified, and mismatches are reported', async () => {
  const sound = await genqueue('ledger', 'verify')
  expect(sound).toMatchObject({ exit: 0, stderr: '' })
  expect(sound.stdout).toMatch(/^default: \d+ entries, 1 open holds: no problems\.\n$/)
  await redis.hincrby(scene.keys.credits(TENANT), 'balance', -1)
  await redis.hincrby(scene.keys.credits(TENANT), 'captured', 1)
  const [broken, asJson] = await Promise.all([
    runAlone('ledger', 'verify', '--tenant', TENANT),
    genqueue('ledger', 'verify', '--json'),
  ])
  expect(broken.exit).toBe(1)
  expect(broken.stdout).toMatch(/^default {2}adds_up {2}\d+-\d+ {2}the account: .*\ndefault: .*: 1 problem\.\n$/)
  expect(asJson.exit).toBe(1)
  expect(records(asJson)).toMatchObject([{ tenant: TENANT, open_holds: 1, found: 1, problems: [{ rule: 'adds_up' }] }])
})

test('budgets are created once, changed, shown and removed, while no service runs', async () => {
  const create = ['budgets', 'create', '--tenant', TENANT, '--period', 'day', '--limit', '500', '--soft', '--json']
  const [made] = records(await genqueue(...create, '--idempotency-key', 'b1')) as { id: string }[]
  const again = await genqueue(...create, '--idempotency-key', 'b1')
  expect(again).toMatchObject({ exit: 0, stderr: 'This budget already existed.\n' })
  expect(records(again)).toEqual([made])
  const id = made?.id ?? ''
  const changed = await genqueue('budgets', 'change', id, '--limit', '900', '--hard', '--alert-at', '90', '--json')
  expect(records(changed)).toMatchObject([{ id, limit: 900, hard: true, alert_at: [90], used: 0 }])
  expect((await genqueue('budgets', 'list', '--tenant', TENANT)).stdout).toContain(id)
  expect(records(await genqueue('budgets', 'show', id, '--json'))).toMatchObject([{ id, scope: 'tenant' }])
  const [wrong, unknown] = await Promise.all([
    genqueue('budgets', 'create', '--tenant', TENANT, '--limit', '1'),
    genqueue('budgets', 'create', '--tenant', 'nobody-here', '--period', 'day', '--limit', '1'),
  ])
  expect(wrong).toMatchObject({ exit: 2, stderr: expect.stringContaining('--period') })
  expect(unknown.exit).toBe(4)
  expect((await genqueue('budgets', 'remove', id)).exit).toBe(0)
  expect((await genqueue('budgets', 'show', id)).exit).toBe(4)
})
