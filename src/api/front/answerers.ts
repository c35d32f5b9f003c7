import { createHash } from 'node:crypto'
import { readFile, readlink } from 'node:fs/promises'
import { hostname } from 'node:os'
import type { Logger } from '../../shared/process/logger.ts'
import type { AnsweringIndex } from '../../shared/jobs/ports.ts'
import { processIdentity } from '../../shared/redis/process-identity.ts'

/**
 * Whether processes that answer creates still live: on the same machine by the system, on another one by their beats. Of two
 * answers that may exist, a dead process has certainly not sent its own.
 */
export interface Answerers {
  /** The name of this process. */
  own: string
  /** Those of these processes that certainly run no more. */
  dead(processes: readonly string[]): Promise<string[]>
  /** Records that this process lives; called each second. */
  beat(): Promise<void>
  /** ms without a beat after which a process counts as dead; null when this process itself missed beats lately. */
  silence(): number | null
  stop(): Promise<void>
}

/** ms between two beats, and without one until a process of another machine counts as dead. */
const BEAT_MS = 1000
const SILENCE_MS = 5000

const digest = (text: string): string => createHash('sha256').update(text).digest('base64url').slice(0, 12)

/** The machine, or the container: process ids mean something only inside. */
async function machine(): Promise<string> {
  const [boot, namespace] = await Promise.all([
    readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => ''),
    readlink('/proc/self/ns/pid').catch(() => ''),
  ])
  return digest(`${boot}${namespace || hostname()}`)
}

const nameOf = async (place: string, pid: number): Promise<string | null> => {
  const identity = await processIdentity(pid)
  return identity === undefined ? null : `${place}.${pid}.${digest(identity)}`
}

export async function startAnswerers(
  index: Pick<AnsweringIndex, 'beat' | 'leave'>,
  log: Logger,
  now: () => number = () => performance.now(),
): Promise<Answerers> {
  const place = await machine()
  const own = (await nameOf(place, process.pid)) ?? `${place}.${process.pid}.`
  /** Since when no beat was missed, and the last one, ms. */
  let unbroken = now()
  let last = now()
  await index.beat(own)

  let beating: Promise<void> | null = null
  async function beat(): Promise<void> {
    try {
      await index.beat(own)
      if (now() - last > 2 * BEAT_MS) unbroken = now()
      last = now()
    } catch (error) {
      log.debug({ err: error }, 'could not record that this process lives')
    }
  }
  const timer = setInterval(() => {
    beating ??= beat().finally(() => (beating = null))
  }, BEAT_MS)
  timer.unref()

  return {
    own,
    beat,
    async dead(processes) {
      const found = await Promise.all(
        processes.map(async (name) => {
          const [where, pid = ''] = name.split('.')
          return where === place && (await nameOf(place, Number(pid))) !== name ? [name] : []
        }),
      )
      return found.flat()
    },
    // After an outage of Redis, others may not have had time for a beat yet.
    silence: () => (now() - last <= 2 * BEAT_MS && now() - unbroken > SILENCE_MS + BEAT_MS ? SILENCE_MS : null),
    async stop() {
      clearInterval(timer)
      await beating
      await index.leave(own).catch((error: unknown) => {
        log.debug({ err: error }, 'could not record that this process ends')
      })
    },
  }
}
