import type { Redis } from 'ioredis'
import { z } from 'zod'
import { clockLua } from '../../redis/clock.ts'
import { loadScript } from '../../redis/script.ts'
import type { AnsweringIndex } from '../ports.ts'
import type { JobKeys } from '../record/job-keys.ts'

const here = (name: string): URL => new URL(name, import.meta.url)
const claimAnswer = loadScript(here('claim-answer.lua'), { includes: [clockLua] })
const loseAnswer = loadScript(here('lose-answer.lua'), { flags: ['allow-oom'] })
const answerBeat = loadScript(here('answer-beat.lua'), { flags: ['allow-oom'], includes: [clockLua] })

const claimReply = z.union([
  z.tuple([z.literal('claimed'), z.string()]),
  z.tuple([z.literal('busy')], z.string()),
  z.tuple([z.literal('noted')]),
])

/** Longer than any request takes. */
const FORGET_MS = 10 * 60_000

export function createRedisAnswering({ redis, keys }: { redis: Redis; keys: JobKeys }): AnsweringIndex {
  return {
    async claim({ entry, job, process, forMs }, { patient, dead: { silence, known } }) {
      const own = [job, process, String(forMs), patient ? '' : '1']
      const args = [...own, silence === null ? '' : String(silence), ...known]
      const [kind, ...rest] = claimReply.parse(await claimAnswer(redis, [keys.answering(entry), keys.answerers], args))
      if (kind === 'claimed') return { kind, job: rest[0] ?? '' }
      return kind === 'busy' ? { kind, processes: rest } : { kind }
    },
    async answered(entry, job) {
      await redis.hdel(keys.answering(entry), job)
    },
    async lost(entry, job, forMs) {
      return (await loseAnswer(redis, [keys.answering(entry)], [job, String(forMs)])) === 1
    },
    async beat(process) {
      await answerBeat(redis, [keys.answerers], [process, String(FORGET_MS)])
    },
    async leave(process) {
      await redis.zrem(keys.answerers, process)
    },
  }
}
