import { randomBytes } from 'node:crypto'
import type { Redis } from 'ioredis'
import { z } from 'zod'
import type { Logger } from '../logger.ts'
import { loadScript } from './script.ts'

const beside = (name: string): URL => new URL(name, import.meta.url)
const includes = [beside('replication-id.lua')]
const lookAt = loadScript(beside('generation.lua'), { flags: ['allow-oom'], includes })
const openGate = loadScript(beside('open-gate.lua'), { flags: ['allow-oom'], includes })

const lookReply = z.tuple([z.string(), z.enum(['0', '1']), z.string(), z.string()])

/** What one look at Redis's memory showed. */
export interface GenerationLook {
  /** 16 hex digits. */
  id: string
  /** The recovery gate is open: intents may be committed. */
  isOpen: boolean
  /** How long ago it was found that a later memory than this one was lost, ms; null: none is known of. */
  lostAgo: number | null
}

/**
 * The generation of Redis's memory, as this process knows it. A memory that goes back (a restart that loses the last
 * writes, a replica that takes over, a former primary that returns) is another generation, and its recovery gate is
 * closed. Each process remembers the newest one it saw, so that a memory without it is recognised.
 */
export interface Generation {
  /** The hash in Redis. */
  key: string
  /** The id; '' before the first look. */
  known(): string
  look(): Promise<GenerationLook>
  /** A script was not known to a server whose gate was open: the next look begins a new generation. */
  doubt(): void
  /** Whether the server behind `redis` holds this generation now. */
  isHeldBy(redis: Redis, id: string): Promise<boolean>
  /** Opens its gate; false when the server behind `redis` holds another one by now. */
  open(redis: Redis, id: string): Promise<boolean>
  /** Whether Redis shows its replication id; without it, a returned primary is recognised by its generation alone. */
  showsReplication(): boolean
}

export interface GenerationOptions {
  /**
   * Longest time between two looks of the deployment's processes, ms; null for a tool beside it. A memory that nobody
   * looked at for longer may have been replaced by another one meanwhile.
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
      const [id, open, replid, lost] = lookReply.parse(await lookAt(redis, [key], args))
      known = id
      isOpen = open === '1'
      doubted = ''
      replication = replid
      return { id, isOpen, lostAgo: lost === '' ? null : Number(lost) }
    },
    doubt() {
      if (isOpen) doubted = known
    },
    isHeldBy: async (server, id) => (await openGate(server, [key], [id, '1'])) === 1,
    open: async (server, id) => (await openGate(server, [key], [id, ''])) === 1,
    showsReplication: () => replication !== '',
  }
}

/** Looks again and again, so that this process knows the newest generation. Returns how to stop. */
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
