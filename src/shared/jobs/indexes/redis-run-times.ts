import type { Redis } from 'ioredis'
import { z } from 'zod'
import { loadScript } from '../../redis/script.ts'
import type { JobKeys } from '../record/job-keys.ts'
import type { RunTimes } from '../ports.ts'
import { REMEMBER_RUN } from './line-keys.ts'
import { MAX_RUNS, runTimeBucket, runTimeQuantile, runTimeRange } from '../rules/run-times.ts'

const countsReply = z.array(z.string())
const rememberRun = loadScript(REMEMBER_RUN)

/** Delay until the runs of a process are written together, ms. */
const RUNS_WITHIN_MS = 250
/** Runs that are written together at most: newer ones weigh more, so the script must see them in parts. */
const RUNS_AT_ONCE = MAX_RUNS / 20

/** Collects durations of runs and writes those of a model together: they are a digest, in which a lost run is no loss. */
function collectRuns(writeRuns: (model: string, buckets: ReadonlyMap<number, number>) => Promise<unknown>) {
  let collected = new Map<string, Map<number, number>>()
  let count = 0
  let timer: NodeJS.Timeout | undefined
  async function flush(): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    count = 0
    const models = collected
    collected = new Map()
    await Promise.all([...models].map(([model, buckets]) => writeRuns(model, buckets)))
  }
  return {
    flush,
    add(model: string, ms: number): void {
      const buckets = collected.get(model) ?? new Map<number, number>()
      const bucket = runTimeBucket(ms)
      collected.set(model, buckets.set(bucket, (buckets.get(bucket) ?? 0) + 1))
      const write = (): void => void flush().catch(() => undefined)
      if (++count >= RUNS_AT_ONCE) write()
      else timer ??= setTimeout(write, RUNS_WITHIN_MS).unref()
    },
  }
}

export function createRedisRunTimes({ redis, keys }: { redis: Redis; keys: JobKeys }): RunTimes {
  const durations = collectRuns(async (model, buckets) => {
    const args = [String(MAX_RUNS), ...[...buckets].flat().map(String)]
    const counts = countsReply.parse(await rememberRun(redis, [keys.runTimes(model)], args))
    const byBucket = counts.flatMap((bucket, i) => (i % 2 === 0 ? [[bucket, Number(counts[i + 1])] as const] : []))
    const p50 = runTimeQuantile(Object.fromEntries(byBucket), 0.5)
    // What a run costs its tenant in the order of waiting jobs, where it has no price.
    if (p50 !== null) await redis.hset(keys.costs, model, (p50 / 1000).toFixed(3))
  })

  async function runTimes(model: string): ReturnType<RunTimes['runTimes']> {
    await durations.flush()
    return runTimeRange(await redis.hgetall(keys.runTimes(model)))
  }

  return {
    runTimes,

    async expectedRun(model) {
      return (await runTimes(model))?.p90 ?? null
    },

    rememberRun: durations.add,
  }
}
