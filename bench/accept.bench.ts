import { join } from 'node:path'
import { expect, test } from 'vitest'
import { cpuOf } from './support/cpu-of.ts'
import type { LoadReport } from './support/load-generator.ts'
import { freePort } from '../test/support/free-port.ts'
import { freshPrefix, testRedisUrl } from '../test/support/redis.ts'
import { spawnNode } from '../test/support/spawn-process.ts'
import { startProcesses } from '../test/support/start-processes.ts'
import { TEST_KEY } from '../test/support/start-service.ts'

/**
 * Cost of accepting a job: `POST /v1/jobs` with an API key, an idempotency key, an input that a preset validates and held
 * credits, compared with a bare Express route with one BullMQ add. The two alternate on one machine without workers,
 * because ratios are comparable between machines and milliseconds are not. On a busy machine the wait for three round
 * trips to Redis instead of one dominates, so CPU time is the better measure there. Results: docs/operations.md, "What
 * accepting costs".
 */

const ROUNDS = 5
const SECONDS = 4
const CONNECTIONS = 64
/** Share of the bare route's requests per second. */
const GOAL = 0.7
/** p99 as a multiple of the bare route's, each at half its maximum rate. */
const GOAL_P99 = 1.5

const body = JSON.stringify({
  preset: 'story-page',
  input: { prompt: 'A small fox in front of a lighthouse, at dusk, watercolour, for a picture book' },
  metadata: { page: 'cover', story: 'the fox and the lighthouse' },
})

interface Target {
  pid: number
  port: number
  path: string
  headers: string[]
  keyed: boolean
}

type Measured = LoadReport & {
  /** CPU time per request of the process that responds, ms; NaN except on Linux. */
  cpu: number
}

async function load({ pid, port, path, headers, keyed }: Target, rate = 0, seconds = SECONDS): Promise<Measured> {
  const before = cpuOf(pid)
  const options: Record<string, string> = {
    port: String(port),
    path,
    body,
    connections: String(CONNECTIONS),
    seconds: String(seconds),
    rate: String(rate),
  }
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value])
  const child = spawnNode(join(import.meta.dirname, 'support/load-generator.ts'), [
    ...args,
    ...headers.flatMap((header) => ['--header', header]),
    ...(keyed ? ['--keyed'] : []),
  ])
  const { code } = await child.exited
  expect(code, child.stderr).toBe(0)
  const report = JSON.parse(child.stdout) as LoadReport
  expect(report.wrong, report.example ?? '').toBe(0)
  return { ...report, cpu: (cpuOf(pid) - before) / report.answered }
}

const perSecond = ({ answered, seconds }: LoadReport): number => answered / seconds
const median = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

/** Creates a tenant with limited credits, and returns its key. */
async function payingTenant(url: string): Promise<string> {
  const post = async (path: string, content: object): Promise<{ key: string }> => {
    const response = await fetch(`${url}/v1/admin/tenants${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify(content),
    })
    expect(response.status).toBe(201)
    return (await response.json()) as { key: string }
  }
  await post('', { id: 'bench', limits: { requests_per_minute: 1_000_000, queued_jobs: 1_000_000 } })
  await post('/bench/credits', { amount: 1_000_000_000_000, reason: 'measurement' })
  return (await post('/bench/keys', { scopes: ['jobs:write'] })).key
}

test('accept', async () => {
  const fleet = await startProcesses({ apis: 1, workers: 0, env: { LOG_LEVEL: 'warn', TENANT_QUEUED_JOBS: '1000000' } })
  const [url = ''] = fleet.urls
  const port = await freePort()
  const bareArgs = ['--port', String(port), '--redis', testRedisUrl(), '--prefix', freshPrefix()]
  const bareProcess = spawnNode(join(import.meta.dirname, 'support/bare-route.ts'), bareArgs)
  await bareProcess.waitForLine(/^ready/)

  const key = await payingTenant(url)
  const accept: Target = {
    pid: fleet.apis[0]?.pid ?? 0,
    port: Number(new URL(url).port),
    path: '/v1/jobs',
    headers: [`authorization: Bearer ${key}`],
    keyed: true,
  }
  const bare: Target = { pid: bareProcess.pid, port, path: '/jobs', headers: [], keyed: false }

  // Warm-up: compiles code and fetches schemas.
  for (const target of [accept, bare]) await load(target, 0, 2)

  const say = (line: string): void => void process.stdout.write(`${line}\n`)
  const ceiling = perSecond(await load({ ...bare, path: '/nothing' }))
  say(`ceiling (load generator and an empty Express route): ${ceiling.toFixed(0)}/s`)

  const rounds: { bare: Measured; accept: Measured }[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const one = { bare: await load(bare), accept: await load(accept) }
    rounds.push(one)
    say(
      `round ${round + 1}: bare ${perSecond(one.bare).toFixed(0)}/s, accept ${perSecond(one.accept).toFixed(0)}/s, share ${(perSecond(one.accept) / perSecond(one.bare)).toFixed(2)}; CPU time per request ${one.bare.cpu.toFixed(2)} and ${one.accept.cpu.toFixed(2)} ms`,
    )
  }
  const share = median(rounds.map((one) => perSecond(one.accept) / perSecond(one.bare)))
  const most = {
    bare: median(rounds.map((one) => perSecond(one.bare))),
    accept: median(rounds.map((one) => perSecond(one.accept))),
  }
  say(`accept reaches ${share.toFixed(2)} of the throughput of the bare route (goal ${GOAL})`)

  const slower: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const half = { bare: await load(bare, most.bare / 2), accept: await load(accept, most.accept / 2) }
    slower.push(half.accept.p99 / half.bare.p99)
    say(
      `at half load: bare p50 ${half.bare.p50.toFixed(1)} p99 ${half.bare.p99.toFixed(1)} ms, accept p50 ${half.accept.p50.toFixed(1)} p99 ${half.accept.p99.toFixed(1)} ms`,
    )
  }
  say(`p99 of accept is ${median(slower).toFixed(2)} times that of the bare route (goal ${GOAL_P99})`)

  await fleet.stop()
  await bareProcess.kill()
  expect(share).toBeGreaterThan(0)
}, 600_000)
