import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { applyCommit, planCommit, planCreate, type CommitScriptInput } from '../../src/shared/jobs/commit-plan.ts'
import { createJobKeys } from '../../src/shared/jobs/job-keys.ts'
import { attemptOf, isFinal, PHASES, type JobState, type Phase, type Status } from '../../src/shared/jobs/job.ts'
import { DEFAULT_TIMINGS } from '../../src/shared/jobs/timings.ts'
import { transition, type Commit, type JobEvent } from '../../src/shared/jobs/transitions.ts'
import { isTerminal, TERMINAL_STATUSES, type Prediction } from '../../src/shared/replicate/prediction.ts'
import { JOB, jobRecord, NOW, prediction } from './support/job-states.ts'

/**
 * One job against an honest Replicate, with everything in any order: workers that POST and die, answers that are lost or
 * late, webhooks that are early, doubled, reordered or old, cancels, ticks of the sweep, time that jumps, and lies told by
 * those who hold no claim. After each step the promises are checked; the due index is what the planned commits make it.
 */

const keys = createJobKeys('test')
const planOptions = { keys, timings: DEFAULT_TIMINGS, keepEvents: 1000 }
const RANK: Record<Status, number> = { queued: 0, starting: 1, processing: 2, succeeded: 3, failed: 3, canceled: 3 }

interface Permit {
  attempt: number
  claim: string
  /** What upstream made of its POST; null while it was not sent. */
  posted: string | null
  /** Its author has told upstream's refusal, or that nothing was sent: then it never POSTs. */
  withdrawn: boolean
}

class World {
  now = NOW
  state: JobState = { job: { ...jobRecord('queued'), rev: 1 }, attempts: [], effects: [] }
  readonly due = new Map<string, number>()
  readonly permits: Permit[] = []
  /** Everything that upstream ever told, oldest first; the newest of an id is its state. */
  readonly told: { attempt: number; prediction: Prediction }[] = []
  /** Whether the news that arrived of a prediction said that it has ended. */
  readonly heard = new Map<string, boolean>()
  readonly cancelsTaken = new Set<string>()
  orphansCounted = 0
  private made = 0

  constructor() {
    this.write(planCreate(this.state.job, null, planOptions))
  }

  /** The due index, as the script would leave it. */
  private write({ keys: touched, operations }: CommitScriptInput): void {
    for (let at = 0; at < operations.length;) {
      const [name = '', key = '', count = '0'] = operations.slice(at, at + 3)
      const args = operations.slice(at + 3, at + 3 + Number(count))
      at += 3 + Number(count)
      if (touched[Number(key) - 1] !== keys.due) continue
      const [first = '', second = ''] = args
      if (name === 'zadd') this.due.set(second, Number(first))
      if (name === 'zadd_in') this.due.set(second, this.now + Number(first))
      if (name === 'zrem') this.due.delete(first)
    }
  }

  apply(event: JobEvent): Commit | null {
    const decision = transition(this.state, event, {
      now: this.now,
      cause: 'webhook',
      timings: DEFAULT_TIMINGS,
      webhooks: true,
    })
    if (event.type === 'observed' && attemptOf(this.state, event.attempt)) {
      const { id, status } = event.prediction
      this.heard.set(id, isTerminal(status) || (this.heard.get(id) ?? false))
    }
    if (event.type === 'cancel_done') this.cancelsTaken.add(event.prediction_id)
    if (decision.kind === 'ignored') return null
    this.write(planCommit(this.state, decision, planOptions))
    this.state = applyCommit(this.state, decision, this.now)
    this.orphansCounted += decision.orphans ?? 0
    return decision
  }

  tell(attempt: number, told: Prediction): void {
    this.told.push({ attempt, prediction: told })
  }

  newest(id: string): { attempt: number; prediction: Prediction } | undefined {
    return this.told.findLast(({ prediction }) => prediction.id === id)
  }

  ids(): string[] {
    return [...new Set(this.told.map(({ prediction }) => prediction.id))]
  }

  newId(): string {
    return `p${++this.made}`
  }

  intend(): void {
    const claim = `claim-${this.permits.length + 1}`
    const commit = this.apply({ type: 'intend', claim })
    if (commit?.attempt) this.permits.push({ attempt: commit.attempt.n, claim, posted: null, withdrawn: false })
  }

  post(permit: Permit): void {
    if (permit.posted !== null || permit.withdrawn) return
    permit.posted = this.newId()
    this.tell(permit.attempt, prediction('starting', { id: permit.posted, created_at: this.now, started_at: null }))
  }

  /** The next thing that upstream does with a prediction. */
  advance(id: string, status: (typeof TERMINAL_STATUSES)[number] | 'processing'): void {
    const newest = this.newest(id)
    if (!newest || isTerminal(newest.prediction.status)) return
    const started_at = status === 'aborted' ? null : (newest.prediction.started_at ?? this.now)
    const files = id.length % 2 === 0
    this.tell(newest.attempt, {
      ...newest.prediction,
      status,
      started_at,
      completed_at: status === 'processing' ? null : this.now,
      output: status === 'succeeded' ? (files ? ['https://replicate.delivery/x.png'] : 'text') : null,
    })
  }
}

/** A step takes free numbers, and picks with them from what there is. */
type Step = (world: World, pick: <T>(from: readonly T[]) => T | undefined, number: number) => void

const withPermit =
  (work: (world: World, permit: Permit) => void): Step =>
  (world, pick) => {
    const permit = pick(world.permits)
    if (permit) work(world, permit)
  }

const STEPS: Record<string, Step> = {
  intend: (world) => world.intend(),
  post: withPermit((world, permit) => world.post(permit)),
  answer: withPermit((world, permit) => {
    const first = world.told.find(({ prediction }) => prediction.id === permit.posted)
    if (first) world.apply({ type: 'observed', ...first })
  }),
  lost: withPermit((world, { attempt, claim }) => world.apply({ type: 'lost', attempt, claim, reason: 'ECONNRESET' })),
  not_sent: withPermit((world, permit) => {
    if (permit.posted !== null) return
    permit.withdrawn = true
    world.apply({ type: 'not_sent', attempt: permit.attempt, claim: permit.claim })
  }),
  refused: (world, pick, number) => {
    const permit = pick(world.permits)
    if (!permit || permit.posted !== null) return
    permit.withdrawn = true
    const error = { code: 'input_rejected', message: 'no', retryable: false, billed: 'no' as const }
    const pause = { for: 1000, reason: 'rate_limited' as const }
    const { attempt, claim } = permit
    world.apply({
      type: 'refused',
      attempt,
      claim,
      outcome: 'refused',
      ...(number % 4 === 0 ? { error, pause: null } : { error: null, pause }),
    })
  },
  lie: (world, _pick, number) => {
    const attempt = 1 + (number % 3)
    const before = world.state
    const events: JobEvent[] = [
      { type: 'not_sent', attempt, claim: 'nobody' },
      { type: 'lost', attempt, claim: 'nobody', reason: 'x' },
      { type: 'refused', attempt, claim: 'nobody', outcome: 'x', error: null, pause: null },
    ]
    for (const event of events) world.apply(event)
    expect(world.state).toBe(before)
  },
  processing: (world, pick) => world.advance(pick(world.ids()) ?? '', 'processing'),
  end: (world, pick, number) =>
    world.advance(pick(world.ids()) ?? '', TERMINAL_STATUSES[number % TERMINAL_STATUSES.length] ?? 'failed'),
  webhook: (world, pick) => {
    const told = pick(world.told)
    if (told) world.apply({ type: 'observed', ...told, webhook_id: 'msg_1' })
  },
  poll: (world, pick) => {
    const told = world.newest(pick(world.ids()) ?? '')
    if (told) world.apply({ type: 'observed', ...told })
  },
  /** Somebody's proxy sent our POST twice, or upstream told a refusal and created after all. */
  twin: withPermit((world, permit) => {
    if (permit.posted !== null || permit.withdrawn)
      world.tell(permit.attempt, prediction('starting', { id: world.newId(), created_at: world.now, started_at: null }))
  }),
  cancel: (world) => world.apply({ type: 'cancel' }),
  cancel_done: (world, pick) => {
    const effect = pick(world.state.effects)
    if (effect?.kind !== 'cancel') return
    world.advance(effect.prediction_id, 'canceled')
    world.apply({ type: 'cancel_done', attempt: effect.attempt, prediction_id: effect.prediction_id })
  },
  stored: (world) => {
    const effect = world.state.effects.find(({ kind }) => kind === 'store')
    if (effect) world.apply({ type: 'stored', attempt: effect.attempt, output: ['art_1'], artifacts: [] })
  },
  not_stored: (world) => {
    const effect = world.state.effects.find(({ kind }) => kind === 'store')
    if (effect) world.apply({ type: 'not_stored', attempt: effect.attempt, message: 'gone' })
  },
  tick: (world) => world.apply({ type: 'tick' }),
  tick_attempt: (world, pick) => {
    const attempt = pick(world.state.attempts)
    if (attempt) world.apply({ type: 'tick', attempt: attempt.n })
  },
  second: (world) => {
    world.now += 1000
  },
  minute: (world) => {
    world.now += 60_000
  },
  hour: (world) => {
    world.now += 3_600_000
  },
}

const steps = fc.array(
  fc.record({
    name: fc.constantFrom(...Object.keys(STEPS), 'intend', 'post', 'webhook', 'poll', 'processing', 'end'),
    number: fc.nat(1000),
  }),
  { minLength: 1, maxLength: 60, size: 'max' },
)

function run(sequence: { name: string; number: number }[], check: (world: World, before: JobState) => unknown): World {
  const world = new World()
  for (const { name, number } of sequence) {
    const before = world.state
    STEPS[name]?.(world, (from) => from[number % Math.max(from.length, 1)], number)
    check(world, before)
  }
  return world
}

const property = (check: (world: World, before: JobState) => unknown): void => {
  fc.assert(
    fc.property(steps, (sequence) => {
      run(sequence, check)
    }),
    { numRuns: 1500 },
  )
}

describe('whatever happens in whatever order', () => {
  test('a final state never changes', () => {
    property(({ state }, before) => {
      if (!isFinal(before.job.phase)) return
      const { rev: _now, ...job } = state.job
      const { rev: _then, ...same } = before.job
      expect(job).toEqual(same)
    })
  })

  test('the public status never goes backwards', () => {
    property(({ state }, before) => {
      expect(RANK[state.job.status]).toBeGreaterThanOrEqual(RANK[before.job.status])
    })
  })

  test('each commit is one revision, and attempts are only added at the end', () => {
    property(({ state }, before) => {
      expect(state.job.rev).toBeGreaterThanOrEqual(before.job.rev)
      expect(state.job.attempt).toBeGreaterThanOrEqual(before.job.attempt)
      expect(state.attempts.map(({ n }) => n)).toEqual(Array.from({ length: state.job.attempt }, (_, i) => i + 1))
    })
  })

  test('a next attempt only comes after the last is closed as not created', () => {
    property(({ state }, before) => {
      if (state.job.attempt > before.job.attempt)
        for (const attempt of before.attempts) {
          expect(attempt.state).toBe('closed')
          expect(attempt.prediction_id).toBeNull()
        }
    })
  })

  test('at most one attempt is not closed, and at most one POST was answered with a prediction', () => {
    property(({ state, permits }) => {
      expect(state.attempts.filter(({ state: one }) => one !== 'closed').length).toBeLessThanOrEqual(1)
      expect(permits.filter(({ posted }) => posted !== null).length).toBeLessThanOrEqual(1)
    })
  })

  test('a closed attempt stays closed, and an owned prediction stays the same', () => {
    property(({ state }, before) => {
      for (const was of before.attempts) {
        const is = attemptOf(state, was.n)
        if (was.state === 'closed') expect(is).toEqual({ ...was, orphans: is?.orphans })
        if (was.prediction_id !== null) expect(is?.prediction_id).toBe(was.prediction_id)
      }
    })
  })

  test('everything that is not final or not closed is due, and every effect', () => {
    property(({ state, due }) => {
      expect(due.has(`job:${JOB}`)).toBe(!isFinal(state.job.phase))
      for (const attempt of state.attempts)
        expect([attempt.n, due.has(`attempt:${JOB}:${attempt.n}`)]).toEqual([attempt.n, attempt.state !== 'closed'])
      const effects = [...due.keys()].filter((member) => member.startsWith('effect:'))
      expect(effects.length).toBe(state.effects.length)
    })
  })

  test('every prediction that was seen is owned or a counted orphan, and an unwanted one is being cancelled', () => {
    property((world) => {
      const { state } = world
      const orphans = state.attempts.flatMap((attempt) => attempt.orphans)
      expect(new Set(orphans).size).toBe(orphans.length)
      // An attempt that surfaced after its job was final is counted too, and stays the attempt's own.
      expect(world.orphansCounted).toBeGreaterThanOrEqual(orphans.length)
      const owned = state.attempts.flatMap(({ prediction_id }) => prediction_id ?? [])
      expect(owned.filter((id) => orphans.includes(id))).toEqual([])
      const cancels = state.effects.flatMap((effect) => (effect.kind === 'cancel' ? effect.prediction_id : []))
      for (const [id, ended] of world.heard) {
        expect([...owned, ...orphans]).toContain(id)
        if (!ended && orphans.includes(id) && !world.cancelsTaken.has(id)) expect(cancels).toContain(id)
      }
    })
  })

  test('success is the success of the owned prediction', () => {
    property((world) => {
      const { job } = world.state
      if (job.phase !== 'succeeded') return
      expect(world.newest(job.prediction_id ?? '')?.prediction.status).toBe('succeeded')
      expect(attemptOf(world.state, job.attempt)).toMatchObject({
        state: 'closed',
        outcome: 'succeeded',
        prediction_id: job.prediction_id,
      })
    })
  })

  test('a job is only canceled when somebody asked, and only failed with a reason', () => {
    fc.assert(
      fc.property(steps, (sequence) => {
        const { job } = run(sequence, () => undefined).state
        if (!sequence.some(({ name }) => name === 'cancel')) expect(job.phase).not.toBe('canceled')
        expect(job.error === null).toBe(job.phase !== 'failed' && job.phase !== 'canceled')
        expect(job.completed_at !== null).toBe(isFinal(job.phase))
      }),
      { numRuns: 1500 },
    )
  })

  test('these stories reach every phase', () => {
    const seen = new Set<Phase>()
    property(({ state }) => seen.add(state.job.phase))
    expect([...seen].sort()).toEqual([...PHASES].sort())
  })

  test('the job ends once upstream has ended, is asked, and the outputs are stored', () => {
    fc.assert(
      fc.property(steps, (sequence) => {
        const world = run(sequence, () => undefined)
        if (!world.permits.some(({ posted }) => posted !== null)) return
        for (const id of world.ids()) world.advance(id, 'succeeded')
        for (const told of world.told) world.apply({ type: 'observed', ...told })
        STEPS.stored?.(world, () => undefined, 0)
        expect(isFinal(world.state.job.phase)).toBe(true)
        for (const attempt of world.state.attempts) expect(attempt.state).toBe('closed')
        expect(world.state.effects).toEqual([])
        expect([...world.due.keys()]).toEqual([])
      }),
      { numRuns: 1500 },
    )
  })

  test('webhooks of one prediction lead to the same end in any order, doubled or not', () => {
    const story = (world: World): void => {
      world.intend()
      const [permit] = world.permits
      if (!permit) return
      world.post(permit)
      world.advance('p1', 'processing')
      world.now += 5000
      world.advance('p1', 'succeeded')
    }
    const straight = new World()
    story(straight)
    for (const told of straight.told) straight.apply({ type: 'observed', ...told })
    STEPS.stored?.(straight, () => undefined, 0)

    fc.assert(
      fc.property(fc.array(fc.nat(2), { maxLength: 12 }), (order) => {
        const world = new World()
        story(world)
        for (const at of [...order, 2, ...order]) {
          const told = world.told[at]
          if (told) world.apply({ type: 'observed', ...told })
        }
        STEPS.stored?.(world, () => undefined, 0)
        for (const at of order) {
          const told = world.told[at]
          if (told) expect(world.apply({ type: 'observed', ...told })).toBeNull()
        }
        expect({ ...world.state.job, rev: 0 }).toEqual({ ...straight.state.job, rev: 0 })
      }),
      { numRuns: 300 },
    )
  })
})
