import { setTimeout as delay } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { z } from 'zod'
import type { JobKeys } from '../jobs/record/job-keys.ts'
import { announcementSchema, type Announcement } from '../notifications/rules/notice.ts'
import type { Logger } from '../process/logger.ts'

/**
 * A change of a job, as read from the event stream. `stream`: the id of the entry; null for progress, which is not a
 * transition. `job` is empty when a whole batch was accepted; `batch` is empty for a job without a batch.
 */
export interface JobChange {
  job: string
  tenant: string
  batch: string
  stream: string | null
}

export type Unsubscribe = () => void

export interface EventHub {
  onJob(job: string, listener: () => void): Unsubscribe
  /** Changes of a tenant; null: of all tenants. */
  onTenant(tenant: string | null, listener: (change: JobChange) => void): Unsubscribe
  onBatch(batch: string, listener: (change: JobChange) => void): Unsubscribe
  /** Announced events of a tenant, from the resolution on; they are not kept, so a lost connection loses some. */
  onAnnouncement(tenant: string, listener: (announcement: Announcement) => void): Promise<Unsubscribe>
  /**
   * Changes of a tenant, or of all, since a stream id. null when the stream no longer holds all of them, or when it has not
   * reached this id: Redis lost its newest data.
   */
  since(tenant: string | null, stream: string): Promise<JobChange[] | null>
  /** The newest stream id, read from Redis. */
  position(): Promise<string>
  /** The stream id up to which the listeners were notified of everything. */
  seen(): string
  /** Whether Redis has stopped responding, so that changes are not seen. */
  isSilent(): boolean
  /** Called each time Redis stops responding. */
  onSilence(listener: () => void): Unsubscribe
  stop(): Promise<void>
}

/** ms without a reply until changes count as not seen; a blocking read returns within five seconds. */
const SILENT_MS = 10_000
const WATCH_MS = 1_000
const BLOCK_MS = 5_000
const RETRY_MS = 250
const STOP_WITHIN_MS = 1_000
const READ_COUNT = 500
const MAX_REPLAY = 2_000
/** Pause between two reads while nobody listens, ms: a read costs the same for one entry and for many. */
const UNHEARD_MS = 50

/** The id and the fields of an entry, names and values in turn. */
type Entry = [id: string, fields: string[]]

const isText = (value: unknown): boolean => typeof value === 'string'
/** Checked without copying, because every process reads every entry. */
const entriesSchema = z.custom<Entry[]>(
  (list) =>
    Array.isArray(list) &&
    list.every(
      (entry: unknown) => Array.isArray(entry) && isText(entry[0]) && Array.isArray(entry[1]) && entry[1].every(isText),
    ),
)
const streamsSchema = z.array(z.tuple([z.string(), entriesSchema])).nullable()

/** null: not an entry of this service. */
function readEntry([stream, fields]: Entry): JobChange | null {
  let job: string | undefined
  let tenant: string | undefined
  let batch = ''
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const value = fields[at + 1]
    if (fields[at] === 'job') job = value
    else if (fields[at] === 'tenant') tenant = value
    else if (fields[at] === 'batch') batch = value ?? ''
  }
  return job === undefined || tenant === undefined ? null : { job, tenant, batch, stream }
}
const progressSchema = z.object({ job: z.string(), tenant: z.string() })

/**
 * One blocking reader of the event stream for the whole process, shared by all listeners. It resumes from its last id, so
 * a lost connection loses nothing that the stream still holds.
 */
export async function startEventHub(options: {
  /** For blocking reads; exclusive to the hub. */
  reader: Redis
  /** In subscriber mode; exclusive to the hub. */
  subscriber: Redis
  /** For ordinary commands. */
  redis: Redis
  keys: JobKeys
  /** Called when an unreadable entry or message was skipped. */
  onUnreadable?: () => void
  /** ms without a reply from Redis until changes count as not seen */
  silence?: number
  log: Logger
}): Promise<EventHub> {
  const { reader, subscriber, redis, keys, onUnreadable, silence = SILENT_MS, log } = options
  const jobs = new Map<string, Set<() => void>>()
  const tenants = new Map<string, Set<(change: JobChange) => void>>()
  const batches = new Map<string, Set<(change: JobChange) => void>>()
  const everywhere = new Set<(change: JobChange) => void>()
  const followers = new Map<string, Set<(announcement: Announcement) => void>>()
  let stopped = false

  const notify = (change: JobChange): void => {
    for (const listener of jobs.get(change.job) ?? []) listener()
    for (const listener of tenants.get(change.tenant) ?? []) listener(change)
    for (const listener of batches.get(change.batch) ?? []) listener(change)
    for (const listener of everywhere) listener(change)
  }

  const listen = <L>(map: Map<string, Set<L>>, key: string, listener: L): Unsubscribe => {
    const set = map.get(key) ?? new Set<L>()
    map.set(key, set.add(listener))
    wake()
    return () => {
      set.delete(listener)
      if (set.size === 0 && map.get(key) === set) map.delete(key)
    }
  }

  const isHeard = (): boolean => jobs.size + tenants.size + batches.size + everywhere.size > 0
  let wake = (): void => undefined
  /** Waits until somebody listens, at most UNHEARD_MS. */
  const untilHeard = (): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, UNHEARD_MS)
      wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })

  const position = async (): Promise<string> => {
    const [newest] = entriesSchema.parse(await redis.xrevrange(keys.events, '+', '-', 'COUNT', 1))
    return newest?.[0] ?? '0-0'
  }

  /** Decodes entries and skips unreadable ones. */
  const readEntries = (entries: readonly Entry[]): JobChange[] =>
    entries.flatMap((entry) => {
      const change = readEntry(entry)
      if (change !== null) return [change]
      skip(entry[0])
      return []
    })
  function skip(what: string): void {
    onUnreadable?.()
    log.error({ entry: what }, 'an entry of the event stream cannot be read; skipped')
  }

  const silenced = new Set<() => void>()
  let heard = performance.now()
  let isSilent = false
  const watch = setInterval(
    () => {
      const was = isSilent
      isSilent = performance.now() - heard > silence
      if (!isSilent || was) return
      log.warn('Redis does not respond: event streams are closed so that their readers notice')
      for (const listener of silenced) listener()
    },
    Math.min(WATCH_MS, silence),
  )
  watch.unref()
  // A subscriber sends no commands, so without pings a dead server would go unnoticed.
  const ping = setInterval(() => void subscriber.ping().catch(() => undefined), BLOCK_MS)
  ping.unref()

  let last = await position()
  const readAll = async (): Promise<void> => {
    while (!stopped) {
      try {
        const reply = await reader.xread('COUNT', READ_COUNT, 'BLOCK', BLOCK_MS, 'STREAMS', keys.events, last)
        heard = performance.now()
        for (const [, entries] of streamsSchema.parse(reply) ?? []) {
          last = entries.at(-1)?.[0] ?? last
          for (const change of readEntries(entries)) notify(change)
        }
        // Nothing is missed: the next read continues after the last entry.
        if (!isHeard() && !stopped) await untilHeard()
      } catch (error) {
        if (stopped) return
        log.warn({ err: error }, 'the event stream cannot be read')
        await delay(RETRY_MS)
      }
    }
  }

  await subscriber.subscribe(keys.progress)
  const announced = (channel: string, message: string): void => {
    const announcement = announcementSchema.safeParse(parseJson(message))
    if (!announcement.success) return skip(channel)
    for (const listener of followers.get(channel) ?? []) listener(announcement.data)
  }
  subscriber.on('message', (channel, message) => {
    if (channel !== keys.progress) return announced(channel, message)
    const change = progressSchema.safeParse(parseJson(message))
    if (change.success) notify({ ...change.data, batch: '', stream: null })
    else skip(keys.progress)
  })
  const reading = readAll()

  return {
    onJob: (job, listener) => listen(jobs, job, listener),
    onTenant(tenant, listener) {
      if (tenant !== null) return listen(tenants, tenant, listener)
      everywhere.add(listener)
      wake()
      return () => void everywhere.delete(listener)
    },
    onBatch: (batch, listener) => listen(batches, batch, listener),
    async onAnnouncement(tenant, listener) {
      const channel = keys.subscribed(tenant)
      const all = followers.get(channel) ?? new Set()
      followers.set(channel, all.add(listener))
      const leave = (): void => {
        if (!all.delete(listener) || all.size > 0) return
        followers.delete(channel)
        // When the connection is lost, the server has forgotten the channel anyway.
        void subscriber.unsubscribe(channel).catch(() => undefined)
      }
      try {
        await subscriber.subscribe(channel)
      } catch (error) {
        leave()
        throw error
      }
      return leave
    },
    position,
    async since(tenant, stream) {
      const [oldest] = entriesSchema.parse(await redis.xrange(keys.events, '-', '+', 'COUNT', 1))
      if (oldest && compareIds(stream, oldest[0]) < 0) return null
      const entries = entriesSchema.parse(await redis.xrange(keys.events, `(${stream}`, '+', 'COUNT', MAX_REPLAY))
      if (entries.length === MAX_REPLAY) return null
      if (entries.length === 0 && compareIds(stream, await position()) > 0) return null
      return readEntries(entries).filter((change) => change.tenant === (tenant ?? change.tenant))
    },
    seen: () => last,
    isSilent: () => isSilent,
    onSilence(listener) {
      silenced.add(listener)
      return () => void silenced.delete(listener)
    },
    async stop() {
      stopped = true
      wake()
      clearInterval(watch)
      clearInterval(ping)
      reader.disconnect()
      subscriber.disconnect()
      // A read that is blocked on an unreachable Redis must not block shutdown.
      await Promise.race([reading, delay(STOP_WITHIN_MS, undefined, { ref: false })])
    },
  }
}

/** Stream ids are `<ms>-<sequence>`. Below 0: `a` is older. */
export function compareIds(a: string, b: string): number {
  const [aMs = 0, aSeq = 0] = a.split('-').map(Number)
  const [bMs = 0, bSeq = 0] = b.split('-').map(Number)
  return aMs - bMs || aSeq - bSeq
}

/** undefined when the text is not JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
