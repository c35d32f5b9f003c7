import { afterAll, beforeAll, expect, test } from 'vitest'
import type { SpawnedProcess } from '../support/spawn-process.ts'
import { waitFor } from '../support/wait-for.ts'
import { hello, long, startScenarios, type Scenario } from './scenario.ts'

/** What takes minutes: run by `npm run chaos -- --soak`, not by `npm test`. Processes and durations are those of production. */

const OUTAGE_MS = 120_000
const JOBS = 150
const MINUTE = 60_000

let s: Scenario
const workers: SpawnedProcess[] = []
beforeAll(async () => {
  s = await startScenarios({ logLevel: 'info', simulatorSpeed: 4 })
  workers.push(await s.productionWorker(), await s.productionWorker())
})
afterAll(() => s.stop())

const say = (text: string): void => void process.stdout.write(`soak: ${text}\n`)
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`

test(
  'F15 Redis dies for 120 s: the api refuses, workers go on within 10 s, and nothing is lost or paid twice',
  async () => {
    const running = await Promise.all(Array.from({ length: 10 }, (_, i) => s.client.submit(long(`F15 ${i}`))))
    for (const { id } of running) await s.phase(id, 'created', 'running')
    const waiting = await Promise.all(Array.from({ length: JOBS }, (_, i) => s.client.submit(hello(`F15 ${i}`))))
    const ids = [...running, ...waiting].map(({ id }) => id)

    await s.fleet.redis.kill()
    const down = performance.now()
    const [answers, slowest] = [[] as number[], { ms: 0 }]
    await waitFor(
      'two minutes to pass',
      async () => {
        const asked = performance.now()
        const answer = await s.ask('POST', '/v1/jobs', hello('refused'))
        answers.push(answer?.status ?? 0)
        slowest.ms = Math.max(slowest.ms, performance.now() - asked)
        return performance.now() - down >= OUTAGE_MS
      },
      { timeout: OUTAGE_MS + MINUTE, interval: 1000 },
    )
    expect([...new Set(answers)]).toEqual([503])
    expect(slowest.ms).toBeLessThan(5000)

    await s.fleet.redis.start()
    const back = performance.now()
    const next = await waitFor('the api to accept again', async () => {
      const answer = await s.ask('POST', '/v1/jobs', hello('back'))
      return answer?.status === 202 && answer.body.id
    })
    const accepted = performance.now() - back
    await s.finished(next)
    const went = performance.now() - back
    say(`${answers.length} requests refused, the slowest after ${seconds(slowest.ms)}`)
    say(`accepted again after ${seconds(accepted)}, a new job done after ${seconds(went)}`)
    expect(went).toBeLessThan(10_000)

    for (const id of ids) expect((await s.finished(id, 10 * MINUTE)).status).toBe('succeeded')
    say(`all of ${ids.length} jobs done after ${seconds(performance.now() - back)}`)
    for (const id of ids) {
      const { prediction_id } = await s.client.get(id)
      expect(await s.rows(id)).toMatchObject([{ id: prediction_id }])
    }
    // Nobody was ended by its own watchdog meanwhile.
    for (const worker of workers) {
      expect(worker.stdout).not.toContain('no worker takes jobs')
      expect(await worker.kill('SIGTERM')).toEqual({ code: 0, signal: null })
    }
  },
  20 * MINUTE,
)
