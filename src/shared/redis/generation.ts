import { randomBytes } from 'node:crypto'
import type { Redis } from 'ioredis'
import { z } from 'zod'
import type { Logger } from '../process/logger.ts'
import { clockLua } from './clock.ts'
import { loadScript } from './script.ts'

const beside = (name: string): URL => new URL(name, import.meta.url)
const includes = [beside('replication-id.lua')]
const lookAt = loadScript(beside('generation.lua'), { flags: ['allow-oom'], includes: [clockLua, ...includes] })
const noteUnlisted = loadScript(beside('note-unlisted.lua'), { flags: ['allow-oom'] })
const openGate = loadScript(beside('open-gate.lua'), { flags: ['allow-oom'], includes })

/** Cause of a new generation. `first`: nothing was created yet; null: unknown, an earlier release began it. */
const CAUSES = ['first', 'lost', 'restarted', 'scripts', 'unattended'] as const
export type GenerationCause = (typeof CAUSES)[number] | null

const lookReply = z.tuple([
  z.string(),
  z.enum(['0', '1']),
  z.string(),
  z.string(),
  z.enum(CAUSES).nullable().catch(null),
  z.array(z.string()),
])

const sinceReply = z.string().nullable()

/** Result of one look at Redis's memory. */
export interface GenerationLook {
  /** 16 hex digits. */
  id: string
  /** Accounts whose recovery gate is open: intents may be committed. */
  open: ReadonlySet<string>
  /** Time since the loss of a later memory was found, ms; null: no known loss. */
  lostAgo: number | null
  cause: GenerationCause
}

/**
 * Generation of Redis's memory, as this process knows it. A memory that goes back (a restart that loses the last writes, a
 * failover, the return of a former primary) begins another generation with a closed recovery gate. Each process remembers
 * the newest generation that it saw, and so recognises a memory without it.
 */
export interface Generation {
  /** Key of the hash in Redis. */
  key: string
  /** Id of the generation; '' before the first look. */
  known(): string
  look(): Promise<GenerationLook>
  /** Records that a server with an open gate did not know a script: the next look begins a new generation. */
  doubt(): void
  /** Whether the server behind `redis` holds this generation now. */
  isHeldBy(redis: Redis, id: string): Promise<boolean>
  /** Opens the recovery gate of an account; false when the server behind `redis` holds another generation by now. */
  open(redis: Redis, id: string, account: string): Promise<boolean>
  /** As `Presence.unlistedSince`. */
  unlistedSince(id: string, account: string, unlisted: readonly string[], from: number): Promise<number | null>
  /** Whether Redis shows its replication id; without it, only the generation identifies a returned primary. */
  showsReplication(): boolean
}

export interface GenerationOptions {
  /**
   * Longest time between two looks of the deployment's processes, ms; null for a tool outside of it. A memory without a
   * look for longer may have been replaced by another one meanwhile.
   */
  gap: number | null
}

export function createGeneration(redis: Redis, key: string, { gap }: GenerationOptions): Generation {
  let known = ''
  let isOpen = false
  let doubted = ''
  let replication = ''
  return {
    key,
    known: () => known,
    async look() {
      const args = [known, randomBytes(8).toString('hex'), gap === null ? '' : String(gap), doubted]
      const [id, isAnyOpen, replid, lost, cause, open] = lookReply.parse(await lookAt(redis, [key], args))
      known = id
      isOpen = isAnyOpen === '1'
      doubted = ''
      replication = replid
      return { id, open: new Set(open), lostAgo: lost === '' ? null : Number(lost), cause }
    },
    doubt() {
      if (isOpen) doubted = known
    },
    isHeldBy: async (server, id) => (await openGate(server, [key], [id, '1'])) === 1,
    open: async (server, id, account) => (await openGate(server, [key], [id, '', account])) === 1,
    async unlistedSince(id, account, unlisted, from) {
      const since = sinceReply.parse(
        await noteUnlisted(redis, [key], [id, account, String(Math.round(from)), ...unlisted]),
      )
      return since === null ? null : Number(since)
    },
    showsReplication: () => replication !== '',
  }
}

/** Looks periodically, so that this process knows the newest generation. Returns a function that stops it. */
export function followGeneration(generation: Generation, everyMs: number, log: Logger): () => void {
  let looking = false
  const timer = setInterval(() => {
    if (looking) return
    looking = true
    generation
      .look()
      .catch((error: unknown) => log.debug({ err: error }, "Redis's generation could not be read"))
      .finally(() => (looking = false))
  }, everyMs)
  timer.unref()
  return () => clearInterval(timer)
}
