import type { Redis } from 'ioredis'
import { REDIS_FULL_FROM } from '../conditions/rules/thresholds.ts'
import { redisFacts, redisSilence, unfitFacts, writeRefusal } from '../redis/connection.ts'
import { failed, ok, skipped, warning, type Finding } from './rules/check.ts'
import { sizeOf } from './rules/sizes.ts'
import type { CheckGroup } from './run-checks.ts'

export const REDIS_CHECKS = ['redis', 'redis_persistence', 'redis_memory', 'redis_latency'] as const
/** Round trips that are measured. */
const PINGS = 20
/** A warning if no round trip is faster, ms. */
const SLOW_PING_MS = 5

/** `key`: written as a test. `sameDeployment`: whether Redis holds the deployment of this process. */
export function redisChecks(redis: Redis, key: string, sameDeployment: () => Promise<boolean>): CheckGroup {
  return {
    names: REDIS_CHECKS,
    within: 15_000,
    async run() {
      const silence = await redisSilence(redis)
      if (silence !== null) return redisAway(silence)
      const facts = await redisFacts(redis)
      // Persistence has its own check.
      const problems = unfitFacts({ ...facts, isAppendOnly: true })
      const refused = await writeRefusal(redis, key)
      if (refused !== null) problems.push(refused)
      if (!(await sameDeployment())) problems.push('Redis holds another deployment, or lost its data')
      const details = { version: facts.version, role: facts.role, maxmemory_policy: facts.policy }
      return {
        redis:
          problems.length === 0
            ? ok(`Redis ${facts.version} accepts writes and scripts, and evicts nothing.`, details)
            : failed(`${problems.join('. ')}.`, 'Correct the configuration of Redis, or REDIS_URL.', details),
        redis_persistence: persistence(facts, await fsyncOf(redis)),
        redis_memory: memory(facts),
        redis_latency: await latency(redis),
      }
    },
  }
}

/** Findings when Redis cannot be used. */
export function redisAway(reason: string): Record<(typeof REDIS_CHECKS)[number], Finding> {
  const none = skipped('Redis does not respond.')
  return {
    redis: failed(`${reason}.`, 'Start Redis, or correct REDIS_URL and its password.'),
    redis_persistence: none,
    redis_memory: none,
    redis_latency: none,
  }
}

/** `appendfsync`; null where CONFIG is not allowed. */
async function fsyncOf(redis: Redis): Promise<string | null> {
  const pairs = await redis.config('GET', 'appendfsync').catch(() => null)
  const [, value] = Array.isArray(pairs) ? pairs : []
  return typeof value === 'string' ? value : null
}

type Facts = Awaited<ReturnType<typeof redisFacts>>

function persistence({ isAppendOnly, isAppendOnlyWritten }: Facts, fsync: string | null): Finding {
  const details = { appendonly: isAppendOnly, appendfsync: fsync, last_write_ok: isAppendOnlyWritten }
  if (!isAppendOnly)
    return failed(
      'appendonly is off: a restart of Redis loses accepted jobs.',
      'Set appendonly yes, in the configuration file and with CONFIG SET. A managed Redis has an option for it.',
      details,
    )
  if (!isAppendOnlyWritten)
    return failed(
      'Redis cannot write its append-only file.',
      'Free space on the disk of Redis, and read its log.',
      details,
    )
  if (fsync === 'no')
    return warning(
      'appendfsync is no: power loss can lose half a minute of accepted jobs.',
      'Set appendfsync everysec, or always with DURABILITY=strict.',
      details,
    )
  return ok(
    fsync === 'always'
      ? 'Every write is on disk before it is confirmed.'
      : 'Redis writes every change to its file. Power loss can lose about the last second.',
    details,
  )
}

function memory({ usedMemory, maxmemory }: Facts): Finding {
  const details = { used_bytes: usedMemory, maxmemory_bytes: maxmemory }
  if (maxmemory === 0)
    return ok(`Redis uses ${sizeOf(usedMemory)}. maxmemory is not set, so only the machine limits it.`, details)
  const share = usedMemory / maxmemory
  const seen = `Redis uses ${sizeOf(usedMemory)} of ${sizeOf(maxmemory)} (${Math.round(share * 100)} %).`
  if (share >= REDIS_FULL_FROM)
    return failed(
      `${seen} New jobs are refused with 503 \`capacity\`.`,
      'Raise maxmemory, or shorten KEEP_PAYLOAD and KEEP_JOB.',
      details,
    )
  if (share >= REDIS_FULL_FROM * 0.8)
    return warning(`${seen} From ${REDIS_FULL_FROM * 100} % on new jobs are refused.`, 'Raise maxmemory soon.', details)
  return ok(seen, details)
}

async function latency(redis: Redis): Promise<Finding> {
  const times: number[] = []
  for (let i = 0; i < PINGS; i++) {
    const began = performance.now()
    await redis.ping()
    times.push(performance.now() - began)
  }
  times.sort((a, b) => a - b)
  const round = (ms: number): number => Math.round(ms * 100) / 100
  const [shortest, median, longest] = [0, PINGS / 2, PINGS - 1].map((at) => round(times[at] ?? 0))
  const details = { shortest_ms: shortest ?? 0, median_ms: median ?? 0, longest_ms: longest ?? 0 }
  // The shortest one shows the network, however busy this machine is.
  return details.shortest_ms > SLOW_PING_MS
    ? warning(
        `A round trip to Redis takes ${shortest} ms at best (median ${median} ms). Each job needs several of them.`,
        'Run Redis in the same network as the service, and check its load (SLOWLOG).',
        details,
      )
    : ok(`A round trip to Redis takes ${shortest} ms at best, usually ${median} ms.`, details)
}
