import type { Redis } from 'ioredis'
import { z } from 'zod'
import { STORED_LUA } from '../../limits/stored-script.ts'
import { clockLua } from '../../redis/clock.ts'
import type { Generation } from '../../redis/generation.ts'
import { guardedScript, loadScript, ScriptUnknownError } from '../../redis/script.ts'
import type { CommitKind, CommitReply, CommitRunner, RedisClock } from './commit-script.ts'
import { DEFAULT_ACCOUNT } from '../rules/job.ts'
import { BATCH_STOPS } from '../rules/decision.ts'
import type { Timings } from '../rules/timings.ts'
import { ORDER_LUA } from '../indexes/line-keys.ts'
import { DeploymentLostError, GateClosedError } from '../ports.ts'
import { CROWDS } from '../rules/sharing.ts'

const lua = (name: string): URL => new URL(`../../${name}`, import.meta.url)
const commitFile = lua('jobs/commit/commit.lua')
const includes = [
  clockLua,
  lua('redis/replication-id.lua'),
  lua('limits/pause-clock.lua'),
  lua('limits/manual-clock.lua'),
  lua('limits/model-breaker.lua'),
  lua('limits/learned-rate.lua'),
  lua('credits/credits.lua'),
  lua('credits/budgets.lua'),
  lua('batches/batches.lua'),
  STORED_LUA,
  ORDER_LUA,
]

/** New work is refused when Redis is full; completion, cancellation and clean-up continue. */
const newWork = loadScript(commitFile, { includes })
const always = loadScript(commitFile, { flags: ['allow-oom'], includes })
/** Intents run only in a generation of Redis's memory that was compared with upstream's list (the recovery gate). */
const intent = guardedScript(commitFile, { includes })
const SCRIPTS: Record<CommitKind, typeof always> = { new_work: newWork, always, intent: intent.run }

const replySchema = z.tuple([
  z.enum([
    'allowed',
    'applied',
    'repeated',
    'stale',
    'closed',
    'lost',
    'taken',
    'too_late',
    'limited',
    'paused',
    'probing',
    'crowded',
    'blocked',
    'unleased',
    'batch_stopped',
    'full',
    'over_quota',
    'over_budget',
    'budgets_changed',
    'short',
    'beyond',
  ]),
  z.coerce.number(),
  z.coerce.string(),
  z.string().transform((fields) => (fields === '' ? [] : fields.split(' '))),
  z.number(),
])

export function createCommitRunner(
  redis: Redis,
  timings: Timings,
  generation: Generation,
  /** The deployment into which jobs are accepted; null: any. */
  deployment: { key: string; id: string } | null = null,
): CommitRunner {
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
      const guard: string[] = []
      if (script === 'intent') {
        const { account, created, compared } = head.gate ?? { account: DEFAULT_ACCOUNT, created: 0, compared: [] }
        const facts = [generation.known(), account, String(created), ...compared]
        guard.push('generation', String(input.indexOf(generation.key)), String(facts.length), ...facts)
      }
      if (script === 'new_work' && deployment)
        guard.push('deployment', String(input.indexOf(deployment.key)), '1', deployment.id)
      const { id, revision, basis = '', notAfter, creates, takesToken = false } = head
      const args = [
        id,
        String(revision ?? ''),
        basis,
        String(notAfter ?? ''),
        String(creates?.perMinute ?? ''),
        String(creates?.burst ?? ''),
        String(timings.ramp),
        String(timings.intentSilence),
        String(timings.rateQuiet),
        String(timings.rateDoubling),
        takesToken ? '1' : '',
        ...guard,
        ...input.operations,
      ]
      const reply = await SCRIPTS[script](redis, input.keys, args).catch((error: unknown) => {
        if (!(error instanceof ScriptUnknownError)) throw error
        generation.doubt()
        throw new GateClosedError('Redis does not know the script of intents', { cause: error })
      })
      const [status, now, detail, owed, woken] = replySchema.parse(reply)
      clock.observe(now)
      if (status === 'closed')
        throw new GateClosedError(`Generation ${generation.known()} is not open`, { account: detail })
      if (status === 'lost') throw new DeploymentLostError('Redis does not hold this deployment')
      return { result: resultOf(status, detail), now, detail, owed, woken }
    },
    allowIntents: (id, account) =>
      intent.load(redis, {
        before: (once) => generation.isHeldBy(once, id),
        after: (once) => generation.open(once, id, account),
      }),
  }
}

function resultOf(
  status: Exclude<z.output<typeof replySchema>[0], 'closed' | 'lost'>,
  detail: string,
): CommitReply['result'] {
  switch (status) {
    case 'limited': {
      const [waitMs, everyMs] = detail.split(' ').map(Number)
      return { status, waitMs: waitMs ?? 0, everyMs: everyMs ?? 0 }
    }
    case 'paused':
      return { status, waitMs: Number(detail) }
    case 'taken':
      return { status, holder: detail }
    case 'full':
      return { status, limit: Number(detail) }
    case 'over_quota': {
      const [limit = '', most, used] = detail.split(' ')
      return { status, beyond: { limit, most: Number(most), used: Number(used) } }
    }
    case 'over_budget': {
      const [id = '', used, ...subject] = detail.split(' ')
      return { status, id, used: Number(used), subject: subject.join(' ') }
    }
    case 'short':
      return { status, missing: Number(detail) }
    case 'crowded':
      return { status, crowd: z.enum(CROWDS).parse(detail) }
    case 'blocked':
      return { status, scope: detail }
    case 'batch_stopped':
      return { status, reason: z.enum(BATCH_STOPS).parse(detail) }
    default:
      return { status }
  }
}
