import { setTimeout as delay } from 'node:timers/promises'
import { ServiceError } from '../../shared/errors/service-error.ts'
import { shortDigest } from '../../shared/jobs/record/job-keys.ts'
import type { Answering, Claim } from '../../shared/jobs/rules/answering.ts'
import type { AnsweringIndex } from '../../shared/jobs/ports.ts'
import type { Logger } from '../../shared/process/logger.ts'
import { canonicalJson } from '../../shared/values/canonical-json.ts'
import type { OwnedRequest } from '../http.ts'
import type { Answerers } from './answerers.ts'

/**
 * Creates that are sent again because their answer was lost, without a key that says so: the official client sends a create
 * up to six times when its connection breaks (docs/adr/0015-creates-sent-again.md).
 */

/** ms for which an answer that was lost is remembered. */
const REMEMBERED_MS = 60_000
/** ms for which an equal create waits for the end of an answer, and between two looks. */
const PATIENCE_MS = 250
const LOOK_MS = 25
/** ms between two attempts to record that an answer was lost, when Redis does not respond. */
const RECORD_AGAIN_MS = 1000

export interface SentAgainDependencies {
  index: AnsweringIndex
  answerers: Pick<Answerers, 'own' | 'dead' | 'silence'>
  /** Longest time until an accept takes effect whose reply did not come, ms. */
  acceptWithin: number
  log: Logger
}

export function createSentAgain({ index, answerers, acceptWithin, log }: SentAgainDependencies) {
  async function claim(entry: string): Promise<Claim> {
    const silence = answerers.silence()
    const found = await index.claim(entry, { silence, dead: [] })
    if (found.kind !== 'busy') return found
    const dead = await answerers.dead(found.processes)
    return dead.length === 0 ? found : index.claim(entry, { silence, dead })
  }

  /** Tries until Redis responds; in the end the entry expires, and the client gets another job. */
  async function record(what: () => Promise<unknown>): Promise<void> {
    for (let since = 0; since < REMEMBERED_MS; since += RECORD_AGAIN_MS) {
      try {
        await what()
        return
      } catch (error) {
        log.debug({ err: error }, 'could not record how a create was answered')
        await delay(RECORD_AGAIN_MS, undefined, { ref: false })
      }
    }
  }

  return {
    /** What identifies a request without a key: its API key, its route, and everything that it asks for. */
    entryOf: ({ principal: { tenant, keyId } }: OwnedRequest, route: string, asked: unknown): string =>
      shortDigest(JSON.stringify([tenant, keyId, route, shortDigest(canonicalJson(asked))])),

    /** The id of the job of an equal create whose answer was lost; null: there is none. */
    async claim(entry: string): Promise<string | null> {
      for (let waited = 0; ; waited += LOOK_MS) {
        const found = await claim(entry)
        if (found.kind === 'claimed') return found.job
        if (found.kind === 'none' || waited >= PATIENCE_MS) return null
        await delay(LOOK_MS)
      }
    },

    /** `waitMs`: for which the answer may wait for the end of the job. */
    note: (entry: string, job: string, waitMs: number): Answering => ({
      entry,
      job,
      process: answerers.own,
      forMs: REMEMBERED_MS + waitMs,
    }),

    /** Follows the answer of a noted create to its end. Call it once, before the answer can end. */
    follow({ sent }: Pick<OwnedRequest, 'sent'>, entry: string, job: string) {
      let isAnswer = true
      /** The commit may still take effect although its reply did not come. */
      let effectIn = 0
      async function toTheEnd(): Promise<void> {
        const isWhole = await sent()
        if (isWhole && isAnswer) return record(() => index.answered(entry, job))
        await record(() => index.lost(entry, job, REMEMBERED_MS))
        if (effectIn === 0) return
        await delay(effectIn, undefined, { ref: false })
        await record(() => index.lost(entry, job, REMEMBERED_MS))
      }
      void toTheEnd()
      return {
        /** The response is an error, so that its client does not know the job. */
        failed(error: unknown): void {
          isAnswer = false
          if (error instanceof ServiceError && error.code === 'accept_unknown') effectIn = acceptWithin
        },
      }
    },
  }
}

export type SentAgain = ReturnType<typeof createSentAgain>
