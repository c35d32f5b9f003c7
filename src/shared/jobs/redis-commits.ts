import type { Redis } from 'ioredis'
import { z } from 'zod'
import { guardedScript, loadScript } from '../redis/script.ts'
import type { CommitKind, CommitReply, CommitRunner, RedisClock } from './commit-script.ts'
import { BATCH_STOPS } from './decision.ts'
import { CROWDS } from './ports.ts'
import type { Timings } from './timings.ts'

const lua = (name: string): URL => new URL(`../${name}`, import.meta.url)
const commitFile = lua('jobs/commit.lua')
const includes = [lua('limits/pause-clock.lua'), lua('credits/credits.lua'), lua('batches/batches.lua')]

/** New work is refused when Redis is full; finishing, cancelling and cleaning go on. */
const newWork = loadScript(commitFile, { includes })
const always = loadScript(commitFile, { flags: ['allow-oom'], includes })
/** Intents only run on a Redis whose memory of them was checked against upstream's (the recovery gate). */
const intent = guardedScript(commitFile, { includes })
const SCRIPTS: Record<CommitKind, typeof always> = { new_work: newWork, always, intent: intent.run }

const replySchema = z.tuple([
  z.enum([
    'applied',
    'repeated',
    'stale',
    'taken',
    'too_late',
    'limited',
    'paused',
    'probing',
    'crowded',
    'batch_stopped',
    'full',
    'short',
  ]),
  z.coerce.number(),
  z.coerce.string(),
])

export function createCommitRunner(redis: Redis, timings: Timings): CommitRunner {
  let offset = 0
  const clock: RedisClock = {
    now: () => Date.now() + offset,
    observe: (now) => {
      offset = now - Date.now()
    },
  }
  return {
    clock,
    async run(script, input, head) {
      const args = [...head, String(timings.ramp), String(timings.intentSilence), ...input.operations]
      const [status, now, detail] = replySchema.parse(await SCRIPTS[script](redis, input.keys, args))
      clock.observe(now)
      return { result: resultOf(status, detail), now, detail }
    },
    allowIntents: (run) => intent.load(redis, run),
  }
}

function resultOf(status: z.output<typeof replySchema>[0], detail: string): CommitReply['result'] {
  switch (status) {
    case 'limited':
    case 'paused':
      return { status, waitMs: Number(detail) }
    case 'taken':
      return { status, holder: detail }
    case 'full':
      return { status, limit: Number(detail) }
    case 'short':
      return { status, missing: Number(detail) }
    case 'crowded':
      return { status, crowd: z.enum(CROWDS).parse(detail) }
    case 'batch_stopped':
      return { status, reason: z.enum(BATCH_STOPS).parse(detail) }
    default:
      return { status }
  }
}
