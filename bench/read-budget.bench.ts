import { afterEach, expect, test } from 'vitest'
import { createClient } from '../src/client/client.ts'
import { DEFAULT_TIMINGS, type Timings } from '../src/shared/jobs/rules/timings.ts'
import { running, startChaosFleet, type ChaosFleet } from '../test/chaos/fleet.ts'
import { TEST_KEY } from '../test/support/start-service.ts'
import { waitFor } from '../test/support/wait-for.ts'

/**
 * Use of the account's read budget while every webhook is lost: it must suffice without delaying results, for many short runs
 * and for thousands of long runs at once. The second case scales the clock: limits, run times and our durations. The
 * simulator enforces the same budget, so it would refuse an excess.
 */
const MODEL = 'google/gemini-3-pro'
/** Runs of the model take 60 to 120 s. */
const MEAN_RUN_S = 90
const READS = 3000
const CREATES = 600

let fleet: ChaosFleet | undefined
afterEach(async () => {
  await fleet?.stop()
  fleet = undefined
})

/** Timings with polling and upstream `scale` times faster; durations of single requests are unchanged. */
function scaled(scale: number): Partial<Timings> {
  const { pollWithWebhooks, pollOnly } = DEFAULT_TIMINGS
  const faster = ({ first, min, max }: Timings['pollOnly']) => ({
    first: first / scale,
    min: min / scale,
    max: max / scale,
  })
  return {
    ...DEFAULT_TIMINGS,
    sweepInterval: Math.max(200, DEFAULT_TIMINGS.sweepInterval / scale),
    pollWithWebhooks: faster(pollWithWebhooks),
    pollOnly: faster(pollOnly),
    longestPoll: DEFAULT_TIMINGS.longestPoll / scale,
    beforeRemoval: DEFAULT_TIMINGS.beforeRemoval / scale,
    outputLifetime: DEFAULT_TIMINGS.outputLifetime,
    clockSkew: DEFAULT_TIMINGS.clockSkew / scale,
  }
}

test.each([
  { name: '600 creates a minute, runs of 60 s', runSeconds: 60, minutes: 3, scale: 1 },
  { name: '18,000 open, runs of 30 min', runSeconds: 1800, minutes: 36, scale: 6 },
])(
  'webhooks dead: $name',
  async ({ name, runSeconds, minutes, scale }) => {
    const readsPerMinute = READS * scale
    fleet = await startChaosFleet({
      timings: scaled(scale),
      createsPerMinute: CREATES * scale,
      readsPerMinute,
      upstreamReadsPerMinute: readsPerMinute,
      simulatorSpeed: (MEAN_RUN_S * scale) / runSeconds,
    })
    const { simulator, inspect, keys, spawn, apiUrl } = fleet
    await simulator.faults({ webhooks: { drop: 1 } })
    const [api, worker] = [spawn('api'), spawn('worker')]
    await Promise.all([running(api), running(worker)])
    const client = createClient({ baseUrl: apiUrl, key: TEST_KEY })
    const jobs = Math.round(CREATES * minutes)

    const samples: { at: number; reads: number }[] = []
    let open = 0
    const sample = async (): Promise<void> => {
      const { gets, lists, cancels } = (await simulator.books()).counts
      samples.push({ at: performance.now(), reads: gets + lists + cancels })
      open = Math.max(open, await inspect.scard(keys.open('default')))
    }
    const sampling = setInterval(() => void sample().catch(() => undefined), 5000)
    // Slightly faster than the create budget, so that the queue is never empty and never long.
    const interval = (60_000 / (CREATES * scale)) * 20
    const submitAll = async (): Promise<void> => {
      const begun = performance.now()
      for (let at = 0; at < jobs; at += 20) {
        await Promise.all(
          Array.from({ length: 20 }, (_, i) =>
            client.submit({ model: MODEL, timeout: 1800, input: { prompt: `${at + i}` } }),
          ),
        )
        const ahead = begun + (at / 20) * interval * 0.95 - performance.now()
        if (ahead > 0) await new Promise((resolve) => setTimeout(resolve, ahead))
      }
    }
    await submitAll()
    await waitFor('all to finish', async () => Number(await inspect.hget(keys.phases, 'succeeded')) === jobs, {
      timeout: ((runSeconds * 3) / scale + 120) * 1000,
      interval: 500,
    })
    clearInterval(sampling)

    const perMinute = samples.map(({ at, reads }, i) => {
      const end = samples.slice(i).findLast((later) => later.at <= at + 60_000) ?? samples[i]
      return (end?.reads ?? reads) - reads
    })
    const busiest = Math.max(...perMinute) / scale
    const { counts } = await simulator.books()
    const reads = counts.gets + counts.lists
    process.stdout.write(
      `${name} (x${scale}): ${jobs} jobs, at most ${open} open; busiest minute ${busiest.toFixed(0)} of ${READS} reads; ` +
        `${(1 + reads / jobs).toFixed(2)} requests per finished job; 429s: ${counts.throttled}\n`,
    )
    expect(counts.throttled).toBe(0)
    expect(busiest).toBeLessThanOrEqual(READS * 1.02)
    for (const one of [api, worker]) await one.kill('SIGKILL')
  },
  3_600_000,
)
