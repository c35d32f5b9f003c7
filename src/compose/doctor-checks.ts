import { hash, randomBytes } from 'node:crypto'
import type { Redis } from 'ioredis'
import type { ArtifactStore, StorageCheck } from '../shared/artifacts/artifact-store.ts'
import type { DiskReserve } from '../shared/artifacts/disk-reserve.ts'
import type { Catalogue, Examined } from '../shared/catalogue/catalogue.ts'
import type { Preset } from '../shared/catalogue/rules/preset.ts'
import type { Conditions } from '../shared/conditions/conditions.ts'
import { FULL_FROM } from '../shared/conditions/redis-capacity.ts'
import { CONDITIONS } from '../shared/conditions/rules/condition.ts'
import type { Seen } from '../shared/conditions/watch-upstream.ts'
import { single, type CheckGroup } from '../shared/doctor/run-checks.ts'
import { failed, ok, skipped, warning, type Details, type Finding } from '../shared/doctor/rules/check.ts'
import type { CreationPause, LastSweep } from '../shared/jobs/ports.ts'
import type { Timings } from '../shared/jobs/rules/timings.ts'
import type { Presence } from '../shared/redis/presence.ts'
import { redisFacts, redisSilence, unfitFacts, writeRefusal } from '../shared/redis/connection.ts'
import type { WebhookSecrets } from '../shared/replicate/webhook-secrets.ts'
import { mapLimited } from '../shared/values/concurrency.ts'
import { messageOf } from '../shared/values/error-text.ts'
import { ACCOUNT } from './core.ts'
import { clockDifference, workerSilence } from './watch.ts'

/** The checks of the doctor, each by the lookups that the service uses itself. */

export const REDIS_CHECKS = ['redis', 'redis_persistence', 'redis_memory', 'redis_latency'] as const
/** Round trips that are measured. */
const PINGS = 20
/** A warning if no round trip is faster, ms. */
const SLOW_PING_MS = 5
const MIB = 1024 * 1024
/** Wait for Replicate's answer about one preset, ms. */
const MODEL_MS = 8_000
/** Presets that are compared at once. */
const PRESETS_AT_ONCE = 4

const sizeOf = (bytes: number): string =>
  bytes < 10_000 * MIB ? `${Math.round(bytes / MIB)} MiB` : `${Math.round(bytes / MIB / 1024).toLocaleString('en')} GiB`

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
  if (share >= FULL_FROM)
    return failed(
      `${seen} New jobs are refused with 503 \`capacity\`.`,
      'Raise maxmemory, or shorten KEEP_PAYLOAD and KEEP_JOB.',
      details,
    )
  if (share >= FULL_FROM * 0.8)
    return warning(`${seen} From ${FULL_FROM * 100} % on new jobs are refused.`, 'Raise maxmemory soon.', details)
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

export const clockCheck = (
  timings: Timings,
  ahead: () => Promise<{ redis: number; upstream: number | null }>,
): CheckGroup =>
  single('clocks', async () => {
    const found = await ahead()
    const details = {
      ahead_of_redis_ms: Math.round(found.redis),
      ahead_of_replicate_ms: found.upstream === null ? null : Math.round(found.upstream),
    }
    const difference = clockDifference(timings, found)
    if (difference !== null)
      return failed(
        `${difference.charAt(0).toUpperCase()}${difference.slice(1)}.`,
        'Synchronize the clocks (NTP) of all machines. From five minutes on webhooks are refused.',
        details,
      )
    return ok(
      found.upstream === null
        ? 'The clocks of this machine and of Redis agree.'
        : 'The clocks of this machine, of Redis and of Replicate agree.',
      details,
    )
  })

export const workersCheck = (presence: Pick<Presence, 'seenAgo'>, store: LastSweep, timings: Timings): CheckGroup =>
  single('workers', async () => {
    const [seen, swept] = await Promise.all([presence.seenAgo(), store.sweptAgo()])
    const details = { last_seen_ms: seen, last_sweep_ms: swept }
    if (seen === null || seen > workerSilence(timings))
      return failed(
        seen === null
          ? 'No worker is running: jobs are accepted and wait.'
          : `No worker is running: the last one was seen ${Math.round(seen / 1000)} s ago. Jobs are accepted and wait.`,
        'Start a worker, with the REDIS_URL and KEY_PREFIX of the api.',
        details,
      )
    if (swept === null || swept > timings.sweepSilence)
      return warning(
        'Workers are running, but none has looked for due work lately.',
        'Read the log of the workers. A worker that stays like this ends by itself: run it under a supervisor.',
        details,
      )
    return ok('Workers are running and look for due work.', details)
  })

export const conditionsCheck = (conditions: Pick<Conditions, 'all'>): CheckGroup =>
  single('conditions', async () => {
    const lasting = await conditions.all()
    const details: Details = Object.fromEntries(lasting.map(({ name, detail }) => [name, detail]))
    const levels = new Set(lasting.map(({ name }) => CONDITIONS[name].level))
    if (!levels.has('error') && !levels.has('warn')) return ok('The running processes report no problem.', details)
    const seen = lasting.map(({ name, detail }) => `${CONDITIONS[name].begins} (${detail}).`).join(' ')
    const todo = 'docs/waiting.md says what to do for each: '.concat(lasting.map(({ name }) => name).join(', '), '.')
    return levels.has('error') ? failed(seen, todo, details) : warning(seen, todo, details)
  })

/** Token, account and credit. `seen`: the last outcome of a request to Replicate. */
export function accountChecks(options: {
  /** Resolves once Replicate was asked. */
  account: () => Promise<unknown>
  seen: () => Seen | null
  pause: CreationPause['pause'] | null
  /** null: the simulator. */
  token: string | null
  baseUrl: string
}): CheckGroup {
  const { account, seen, pause, token, baseUrl } = options
  const { host } = new URL(baseUrl)

  async function credit(isAccepted: boolean): Promise<Finding> {
    if (token === null) return skipped('The simulator is used, which costs nothing.')
    if (pause === null) return skipped('Redis does not respond, so refusals of creates are unknown.')
    if (!isAccepted) return skipped('Replicate does not accept the account, so its credit is unknown.')
    const paused = await pause(ACCOUNT)
    if (paused?.reason === 'account')
      return failed(
        'Replicate refused a create for lack of credit (402). Creation is paused; no job fails.',
        'Buy credit at replicate.com/account/billing. Creation resumes by itself within a minute or a few.',
      )
    if (paused?.reason === 'rate_limited')
      return warning(
        'Replicate limits the rate of creates (429). With less than $5 of credit the limit is 6 a minute.',
        'Buy credit, or set REPLICATE_CREATES_PER_MINUTE to the limit of the account.',
      )
    return ok('No create is refused for lack of credit. Replicate has no API that shows the balance.')
  }

  return {
    names: ['replicate', 'credit'],
    within: 25_000,
    async run() {
      await account()
      const last = seen()
      const status = last?.kind === 'answered' ? last.status : null
      const details = { host, status, token: token === null ? 'simulator' : 'set' }
      return { replicate: judgeAccount(last, host, token, details), credit: await credit(status === 200) }
    },
  }
}

function judgeAccount(last: Seen | null, host: string, token: string | null, details: Details): Finding {
  if (last === null || last.kind === 'unanswered')
    return failed(
      `${host} does not respond (${last?.reason ?? 'no request was sent'}).`,
      token === null
        ? 'Set REPLICATE_API_TOKEN, or start the service, which brings its simulator.'
        : 'Check name resolution, firewall and proxy of the workers, REPLICATE_BASE_URL, and the status page of Replicate.',
      details,
    )
  const { status } = last
  if (status === 200)
    return ok(token === null ? `The simulator at ${host} responds.` : `${host} accepts the token.`, details)
  if (status === 401)
    return failed(
      `${host} refuses the token (401).`,
      'Set REPLICATE_API_TOKEN to a token of replicate.com/account/api-tokens, and restart workers and apis.',
      details,
    )
  if (status === 402 || status === 403)
    return failed(
      `${host} refuses the account (${status}).`,
      'Check billing and permissions at replicate.com/account.',
      details,
    )
  if (status === 429)
    return warning(
      `${host} limits the rate of requests (429).`,
      'Wait a minute. Check what else uses the account.',
      details,
    )
  return failed(
    `${host} returns ${status}.`,
    'Check the status page of Replicate, and the proxy between the workers and REPLICATE_BASE_URL.',
    details,
  )
}

export const secretCheck = (secrets: Pick<WebhookSecrets, 'problem'>, isConfigured: boolean): CheckGroup =>
  single('webhook_secret', async () => {
    const details = { source: isConfigured ? 'REPLICATE_WEBHOOK_SECRET' : 'fetched' }
    const problem = await secrets.problem()
    if (problem !== null)
      return failed(
        `${problem.charAt(0).toUpperCase()}${problem.slice(1)}.`,
        isConfigured
          ? 'Unset REPLICATE_WEBHOOK_SECRET of the api, or set it to the secret of this account. Until then webhooks are refused, and jobs finish by polling.'
          : 'Correct what the check `replicate` names. Until then webhooks are refused, and jobs finish by polling.',
        details,
      )
    return ok(
      isConfigured ? 'REPLICATE_WEBHOOK_SECRET is set.' : 'The signing secret was fetched from Replicate.',
      details,
    )
  })

export interface StorageParts {
  artifacts: Pick<ArtifactStore, 'put' | 'open' | 'remove'>
  check: () => Promise<StorageCheck>
  reserve: DiskReserve
  diskReserve: number
  dataDir: string
  bucket: string | null
}

/** Writes a file as a copy would, reads it back and removes it; and the free space. */
export function storageChecks(parts: StorageParts): CheckGroup {
  const { artifacts, check, reserve, diskReserve, dataDir, bucket } = parts

  async function storage(): Promise<Finding> {
    const details = { place: bucket === null ? dataDir : `s3://${bucket}` }
    const todo =
      bucket === null
        ? 'Let the user of the service write to DATA_DIR, and free space. Workers and apis need the same folder.'
        : 'Check S3_BUCKET, S3_ENDPOINT, S3_REGION and the credentials: the service needs PutObject, GetObject and DeleteObject.'
    const found = await check()
    if (!found.ok) return failed(`${found.detail}.`, todo, details)
    const content = randomBytes(512)
    try {
      const stored = await artifacts.put(`doctor/${randomBytes(8).toString('hex')}`, piece(content), { maxBytes: 1024 })
      try {
        const opened = await artifacts.open(stored.key)
        const read = opened === null ? null : Buffer.concat(await opened.toArray())
        if (read === null || hash('sha256', read) !== hash('sha256', content))
          return failed(
            read === null ? 'A file was written and is not there.' : 'A file came back with other contents.',
            todo,
            details,
          )
      } finally {
        await artifacts.remove([stored.key])
      }
    } catch (error) {
      return failed(`A file cannot be stored: ${messageOf(error)}.`, todo, details)
    }
    // The detail of a check that passed can name files in another bucket.
    const lost = /; (files .*)$/.exec(found.detail)?.[1]
    if (lost !== undefined)
      return warning(`${lost.charAt(0).toUpperCase()}${lost.slice(1)}.`, 'Set S3_BUCKET again.', details)
    return ok('A file was written, read back and removed.', details)
  }

  async function space(): Promise<Finding> {
    const free = await reserve.free()
    if (!Number.isFinite(free)) return skipped(`The disk of ${dataDir} cannot be measured.`)
    const details = { free_bytes: free, disk_reserve_bytes: diskReserve }
    const seen = `${sizeOf(free)} are free on the disk of DATA_DIR; DISK_RESERVE is ${sizeOf(diskReserve)}.`
    if (free < diskReserve)
      return failed(
        `${seen} Uploads are refused with 507; outputs are stored until the disk is full.`,
        'Free space, shorten KEEP_FILES, limit stored_bytes of tenants, or lower DISK_RESERVE on a small disk.',
        details,
      )
    return free < 2 * diskReserve
      ? warning(seen, 'Free space soon: below DISK_RESERVE uploads are refused.', details)
      : ok(seen, details)
  }

  return {
    names: ['storage', 'storage_space'],
    within: 30_000,
    run: async () => ({ storage: await storage(), storage_space: await space() }),
  }
}

async function* piece(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes
}

/** Whether the model of each preset exists, in its version, and takes what the preset sends. */
export const presetsCheck = (catalogue: Pick<Catalogue, 'list' | 'examine'>): CheckGroup =>
  single(
    'presets',
    async () => {
      const presets = catalogue.list()
      const lines = await mapLimited(presets, PRESETS_AT_ONCE, async (preset): Promise<[Preset, Examined]> => [
        preset,
        await catalogue.examine(preset, MODEL_MS),
      ])
      const details = Object.fromEntries(
        lines.map(([preset, found]): [string, string] => [preset.name, presetWords(preset, found)]),
      )
      const of = (...kinds: Examined['kind'][]): string[] =>
        lines.flatMap(([{ name }, { kind }]) => (kinds.includes(kind) ? [name] : [])).sort()
      if (presets.length > 0 && of('unread').length === presets.length)
        return skipped('No model could be read from Replicate.', 'Correct what the check `replicate` names.', details)
      const [bad, doubtful] = [of('missing', 'unfit'), of('changed', 'unchecked', 'unread')]
      const named = (names: string[]): string => names.map((name) => `${name}: ${details[name]}.`).join(' ')
      if (bad.length > 0)
        return failed(
          named([...bad, ...doubtful]),
          'Correct model, version or input of the preset (docs/presets.md), and reload with SIGHUP. The models of private accounts need the right token.',
          details,
        )
      if (doubtful.length > 0)
        return warning(
          named(doubtful),
          'Review the preset, and pin the new schema (docs/presets.md). If a model could not be read, run the doctor again.',
          details,
        )
      return presets.length === 0
        ? skipped('There are no presets.')
        : ok(`The models of all ${presets.length} presets exist and take their inputs.`, details)
    },
    60_000,
  )

function presetWords({ model, version, deployment }: Preset, found: Examined): string {
  const what =
    deployment !== null
      ? `the deployment ${deployment}`
      : version === null
        ? `${model}`
        : `version ${version.slice(0, 8)}… of ${model}`
  switch (found.kind) {
    case 'fits':
      return `fits ${what}`
    case 'changed':
      return `${what} has another schema than the pinned one`
    case 'missing':
      return `Replicate has no ${what.replace(/^the /, '')}`
    case 'unread':
      return `${what} could not be read`
    case 'unchecked':
      return `the schema of ${what} is not used (${found.reason})`
    case 'unfit':
      return found.wrong.map(({ pointer, detail }) => `${pointer} ${detail.replace(/\.$/, '')}`).join(', ')
  }
}
