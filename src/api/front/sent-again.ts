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
/** ms between two looks whether the answer of an equal create has ended: a quarter of a second together. */
const LOOKS_MS = [20, 40, 70, 120]
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
  async function claim(create: Answering, patient: boolean): Promise<Claim> {
    const silence = answerers.silence()
    const found = await index.claim(create, { patient, dead: { silence, known: [] } })
    if (found.kind !== 'busy') return found
    const known = await answerers.dead(found.processes)
    return known.length === 0 ? found : index.claim(create, { patient, dead: { silence, known } })
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

    /** `waitMs`: for which the answer may wait for the end of the job. */
    note: (entry: string, job: string, waitMs: number): Answering => ({
      entry,
      job,
      process: answerers.own,
      forMs: REMEMBERED_MS + waitMs,
    }),

    /** The id of the job of an equal create whose answer was lost; null: there is none, and the create is noted. */
    async claim(create: Answering): Promise<string | null> {
      for (const [look, ms] of [...LOOKS_MS.entries(), [LOOKS_MS.length, 0] as const]) {
        const found = await claim(create, look < LOOKS_MS.length)
        if (found.kind === 'claimed') return found.job
        if (found.kind === 'noted') return null
        await delay(ms)
      }
      return null
    },

    /** Ends the note of a job that nobody should get any more. */
    forget: (entry: string, job: string): Promise<void> => index.answered(entry, job),

    /** Follows the answer of a noted or claimed create to its end. Call it once, before the answer can end. */
    follow({ sent }: Pick<OwnedRequest, 'sent'>, { entry, job }: Pick<Answering, 'entry' | 'job'>) {
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
