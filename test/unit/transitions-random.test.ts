import { isDeepStrictEqual } from 'node:util'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { applyCommit } from '../../src/shared/jobs/rules/apply-commit.ts'
import { planCommit, planCreate } from '../../src/shared/jobs/commit/commit-plan.ts'
import type { CommitScriptInput } from '../../src/shared/jobs/commit/commit-script.ts'
import { createJobKeys } from '../../src/shared/jobs/record/job-keys.ts'
import {
  attemptOf,
  fieldsWith,
  isFinal,
  PHASES,
  type JobState,
  type OnUnknown,
  type Phase,
  type Status,
} from '../../src/shared/jobs/rules/job.ts'
import { cancelAfter, deadlineOf, isOverdue } from '../../src/shared/jobs/rules/deadlines.ts'
import type { Commit, JobEvent } from '../../src/shared/jobs/rules/decision.ts'
import { isGivenUp, waitsForIntent } from '../../src/shared/jobs/rules/submit.ts'
import { DEFAULT_TIMINGS } from '../../src/shared/jobs/rules/timings.ts'
import { transition } from '../../src/shared/jobs/rules/transitions.ts'
import { isTerminal, TERMINAL_STATUSES, type Prediction } from '../../src/shared/replicate/rules/prediction.ts'
import { pick } from '../../src/shared/values/pick.ts'
import { context, JOB, jobRecord, NOW, prediction } from './support/job-states.ts'
import { examples } from '../support/property-seed.ts'

/**
 * One job against an honest Replicate, with everything in any order: workers that POST and die, answers that are lost or
 * late, listings, passing 404s, webhooks that are early, doubled, reordered or old, failures of the platform, cancels,
 * ticks of the sweep, pauses, time that jumps, and false reports from processes without a claim. After each step the promises are checked; the due index is what the planned commits make it.
 */

const keys = createJobKeys('test')
const planOptions = { keys, timings: DEFAULT_TIMINGS, keepEvents: 1000 }
const RANK: Record<Status, number> = { queued: 0, starting: 1, processing: 2, succeeded: 3, failed: 3, canceled: 3 }

const { permit: PERMIT, createTimeout, clockSkew, listingLag } = DEFAULT_TIMINGS
/** From the intent to the last moment at which its POST may arrive. */
const ARRIVES_WITHIN = PERMIT + createTimeout
/** From then on a listing shows what there is. */
const SHOWS_AFTER = ARRIVES_WITHIN + clockSkew + listingLag
const MAX_RESUBMISSIONS = 2
/** What readers see of a job, besides its revision. */
const VISIBLE = [
  ...fieldsWith('shown').filter((name) => name !== 'rev'),
  'output',
  'started_at',
  'completed_at',
] as const
/** Of every third world, s. */
const CANCEL_AFTER = 1200
const PLATFORM = 'Prediction interrupted (code: PA)'

/** A job may use both. */
const ACCOUNTS = ['default', 'second'] as const

interface Permit {
  attempt: number
  account: string
  claim: string
  at: number
  /** What upstream made of its POST; null while it was not sent. */
  posted: string | null
  /** Its author has reported a refusal by upstream, or that nothing was sent: then it never POSTs. */
  withdrawn: boolean
}

class World {
  now = NOW
  /** What the account's pause clock reads. */
  paused = 0
  state: JobState
  readonly due = new Map<string, number>()
  readonly permits: Permit[] = []
  /** Everything that upstream ever reported, oldest first; the newest of an id is its state. */
  readonly reports: { attempt: number; prediction: Prediction; account: string }[] = []
  /** Whether the news that arrived of a prediction said that it has ended. */
  readonly heard = new Map<string, boolean>()
  readonly cancelsTaken = new Set<string>()
  /** Attempts that were ever given up, so that their job could be sent again. */
  readonly givenUp = new Set<number>()
  orphansCounted = 0
  /** Types of the events of the job that its commits owe. */
  readonly owed: string[] = []
  /** The prediction that upstream just reported. */
  seenLast: string | null = null
  /** Somebody made a second prediction of one POST. */
  twins = false
  private made = 0

  constructor(on_unknown: OnUnknown = 'fail', cancel_after: number | null = null) {
    this.state = {
      job: { ...jobRecord('queued', { on_unknown, cancel_after, start_within: 2 * 3600 }), rev: 1 },
      attempts: [],
      effects: [],
    }
    this.write(planCreate(this.state.job, null, planOptions, { queuedJobs: null }))
  }

  /** The due index, as the script would leave it. */
  private write({ keys: touched, operations }: CommitScriptInput): void {
    for (let at = 0; at < operations.length;) {
      const [name = '', key = '', count = '0'] = operations.slice(at, at + 3)
      const args = operations.slice(at + 3, at + 3 + Number(count))
      at += 3 + Number(count)
      if (name === 'owe') this.owed.push(args[2] ?? '')
      if (touched[Number(key) - 1] !== keys.due) continue
      const [first = '', second = ''] = args
      if (name === 'zadd') this.due.set(second, Number(first))
      if (name === 'zadd_in') this.due.set(second, this.now + Number(first))
      if (name === 'zrem') this.due.delete(first)
    }
  }

  apply(event: JobEvent): Commit | null {
    const decision = transition(
      this.state,
      event,
      context(this.now, { paused: this.paused, clocks: { default: this.paused, second: this.paused } }),
    )
    if (event.type === 'observed' && attemptOf(this.state, event.attempt)) {
      const { id, status } = event.prediction
      this.heard.set(id, isTerminal(status) || (this.heard.get(id) ?? false))
    }
    this.seenLast = event.type === 'observed' ? event.prediction.id : null
    if (event.type === 'cancel_done') this.cancelsTaken.add(event.prediction_id)
    if (decision.kind === 'ignored') return null
    this.write(planCommit(this.state, decision, 'webhook', planOptions, this.now))
    const before = this.state.job
    this.state = applyCommit(this.state, decision, this.now)
    if (!isDeepStrictEqual(pick(before, VISIBLE), pick(this.state.job, VISIBLE)))
      expect(this.state.job.updated_at).toBe(this.now)
    this.orphansCounted += decision.orphans ?? 0
    for (const { n, outcome } of this.state.attempts) if (outcome === 'undecided') this.givenUp.add(n)
    return decision
  }

  report({ attempt, account }: { attempt: number; account: string }, prediction: Prediction): void {
    this.reports.push({ attempt, prediction, account })
  }

  newest(id: string): { attempt: number; prediction: Prediction; account: string } | undefined {
    return this.reports.findLast(({ prediction }) => prediction.id === id)
  }

  ids(): string[] {
    return [...new Set(this.reports.map(({ prediction }) => prediction.id))]
  }

  newId(): string {
    return `p${++this.made}`
  }

  intend(account: string = this.state.job.account): void {
    const claim = `claim-${this.permits.length + 1}`
    const commit = this.apply({ type: 'intend', claim, account })
    if (commit?.attempt)
      this.permits.push({ attempt: commit.attempt.n, account, claim, at: this.now, posted: null, withdrawn: false })
  }

  post(permit: Permit): void {
    if (permit.posted !== null || permit.withdrawn || this.now > permit.at + ARRIVES_WITHIN) return
    permit.posted = this.newId()
    this.report(permit, prediction('starting', { id: permit.posted, created_at: this.now, started_at: null }))
  }

  /** The next thing that upstream does with a prediction. */
  advance(id: string, status: (typeof TERMINAL_STATUSES)[number] | 'processing', error: string | null = null): void {
    const newest = this.newest(id)
    if (!newest || isTerminal(newest.prediction.status)) return
    const started_at = status === 'aborted' ? null : (newest.prediction.started_at ?? this.now)
    const files = id.length % 2 === 0
    this.report(newest, {
      ...newest.prediction,
      status,
      started_at,
      completed_at: status === 'processing' ? null : this.now,
      error,
      output: status === 'succeeded' ? (files ? ['https://replicate.delivery/x.png'] : 'text') : null,
    })
  }

  /** Time, in which upstream ends by itself what ran for as long as it may. */
  pass(ms: number): void {
    this.now += ms
    for (const id of this.ids()) {
      const from = this.newest(id)?.prediction.created_at ?? 0
      if (this.now >= from + cancelAfter(this.state.job)) this.advance(id, 'canceled')
    }
  }

  /** One complete listing of the attempt's account: shows every prediction of it that was made by then. */
  list(attempt: number): void {
    const account = attemptOf(this.state, attempt)?.account
    const found = this.ids().flatMap((id) => this.newest(id) ?? [])
    const mine = found.filter((report) => report.attempt === attempt && report.account === account)
    for (const report of mine) this.apply({ type: 'observed', ...report })
    if (mine.length === 0) this.apply({ type: 'not_listed', attempt, began: this.now })
  }

  /** Predictions that our own POSTs made and that run. */
  live(): string[] {
    const posted = new Set(this.permits.map((permit) => permit.posted))
    return this.ids().filter((id) => posted.has(id) && !isTerminal(this.newest(id)?.prediction.status ?? ''))
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
  intend: (world, _pick, number) => world.intend(ACCOUNTS[number % ACCOUNTS.length]),
  post: withPermit((world, permit) => world.post(permit)),
  answer: withPermit((world, permit) => {
    const first = world.reports.find(({ prediction }) => prediction.id === permit.posted)
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
      health: null,
      ...(number % 4 === 0 ? { error, pause: null } : { error: null, pause }),
    })
  },
  lie: (world, _pick, number) => {
    const attempt = 1 + (number % 3)
    const before = world.state
    const events: JobEvent[] = [
      { type: 'not_sent', attempt, claim: 'nobody' },
      { type: 'lost', attempt, claim: 'nobody', reason: 'x' },
      { type: 'refused', attempt, claim: 'nobody', outcome: 'x', error: null, pause: null, health: null },
    ]
    for (const event of events) world.apply(event)
    expect(world.state).toBe(before)
  },
  processing: (world, pick) => world.advance(pick(world.ids()) ?? '', 'processing'),
  end: (world, pick, number) =>
    world.advance(pick(world.ids()) ?? '', TERMINAL_STATUSES[number % TERMINAL_STATUSES.length] ?? 'failed'),
  platform: (world, pick) => world.advance(pick(world.ids()) ?? '', 'failed', PLATFORM),
  list: (world, pick) => {
    const attempt = pick(world.state.attempts)
    if (attempt) world.list(attempt.n)
  },
  /** As the adopter does it, until it knows. */
  search: (world, pick) => {
    const attempt = pick(world.state.attempts.filter(({ state }) => state === 'unknown'))
    if (!attempt) return
    world.pass(SHOWS_AFTER)
    world.list(attempt.n)
    if (attemptOf(world.state, attempt.n)?.state !== 'unknown') return
    world.pass(DEFAULT_TIMINGS.listingGap)
    world.list(attempt.n)
  },
  /** Lists fail until the outcome is undecidable; later they may work again. */
  give_up: (world, pick) => {
    const attempt = pick(world.state.attempts.filter(({ state }) => state === 'unknown'))
    if (!attempt) return
    world.pass(Math.max(0, attempt.intended_at + DEFAULT_TIMINGS.undecidable - world.now))
    world.apply({ type: 'tick', attempt: attempt.n })
  },
  /** What was given up is not found either while upstream may show it. */
  outlast: (world, pick) => {
    const attempt = pick(world.state.attempts.filter(isGivenUp))
    if (!attempt) return
    world.pass(Math.max(0, attempt.intended_at + DEFAULT_TIMINGS.outputLifetime - world.now))
    world.apply({ type: 'tick', attempt: attempt.n })
  },
  missing: (world, pick) => {
    const attempt = pick(world.state.attempts)
    if (attempt) world.apply({ type: 'missing', attempt: attempt.n })
  },
  pause: (world) => {
    world.pass(30_000)
    world.paused += 30_000
  },
  webhook: (world, pick) => {
    const report = pick(world.reports)
    if (report) world.apply({ type: 'observed', ...report, webhook_id: 'msg_1' })
  },
  poll: (world, pick) => {
    const report = world.newest(pick(world.ids()) ?? '')
    if (report) world.apply({ type: 'observed', ...report })
  },
  /** A proxy sent our POST twice, or upstream returned a refusal and created after all. */
  twin: withPermit((world, permit) => {
    if (permit.posted === null && !permit.withdrawn) return
    world.twins = true
    world.report(permit, prediction('starting', { id: world.newId(), created_at: world.now, started_at: null }))
  }),
  cancel: (world) => world.apply({ type: 'cancel' }),
  cancel_output: (world) => {
    if (world.state.job.phase === 'storing') world.apply({ type: 'cancel', gives_up_output: true })
  },
  cancel_done: (world, pick) => {
    const effect = pick(world.state.effects)
    if (effect?.kind !== 'cancel') return
    world.advance(effect.prediction_id, 'canceled')
    world.apply({ type: 'cancel_done', attempt: effect.attempt, prediction_id: effect.prediction_id })
  },
  stored: (world) => {
    const effect = world.state.effects.find((one) => one.kind === 'store')
    if (effect) world.apply({ type: 'stored', attempt: effect.attempt, output: ['art_1'], artifacts: [] })
  },
  not_stored: (world) => {
    const effect = world.state.effects.find((one) => one.kind === 'store')
    if (effect) world.apply({ type: 'not_stored', attempt: effect.attempt, message: 'gone' })
  },
  tick: (world) => world.apply({ type: 'tick' }),
  tick_attempt: (world, pick) => {
    const attempt = pick(world.state.attempts)
    if (attempt) world.apply({ type: 'tick', attempt: attempt.n })
  },
  second: (world) => {
    world.pass(1000)
  },
  minute: (world) => {
    world.pass(60_000)
  },
  hour: (world) => {
    world.pass(3_600_000)
  },
}

const steps = fc.array(
  fc.record({
    name: fc.constantFrom(
      ...Object.keys(STEPS),
      'intend',
      'intend',
      'post',
      'post',
      'webhook',
      'poll',
      'processing',
      'end',
      'platform',
      'list',
    ),
    number: fc.nat(1000),
  }),
  { minLength: 1, maxLength: 60, size: 'max' },
)

function run(sequence: { name: string; number: number }[], check: (world: World, before: JobState) => unknown): World {
  const world = new World(sequence.length % 2 === 0 ? 'fail' : 'retry', sequence.length % 3 === 0 ? CANCEL_AFTER : null)
  for (const { name, number } of sequence) {
    const before = world.state
    STEPS[name]?.(world, (from) => from[number % Math.max(from.length, 1)], number)
    check(world, before)
  }
  return world
}

/** What happens in any case when everybody does their work for a while. */
function goOn(world: World): void {
  if (isOverdue(world.state.job, world.now)) world.apply({ type: 'tick' })
  if (waitsForIntent(world.state)) world.intend()
  for (const permit of world.permits) world.post(permit)
  for (const id of world.ids()) {
    world.advance(id, 'succeeded')
    const report = world.newest(id)
    if (report) world.apply({ type: 'observed', ...report })
  }
  STEPS.stored?.(world, () => undefined, 0)
  for (const { n, state } of world.state.attempts) {
    if (state === 'intended') {
      world.pass(DEFAULT_TIMINGS.intentSilence)
      world.apply({ type: 'tick', attempt: n })
    }
    if (state === 'closed' || state === 'open') continue
    world.pass(SHOWS_AFTER)
    world.list(n)
    world.pass(DEFAULT_TIMINGS.listingGap)
    world.list(n)
  }
}

/** Stories of each property; `npm run soak` draws more of them, with another seed each time. */
const STORIES = examples(400)
/** A seed, and a number of stories of it that reach everything: whether chance finds a rare end is not what is tested. */
const STORIES_WITH_ALL = { seed: 3, numRuns: 1500 }

const property = (
  check: (world: World, before: JobState) => unknown,
  parameters: { seed?: number; numRuns: number } = { numRuns: STORIES },
): void => {
  fc.assert(
    fc.property(steps, (sequence) => {
      run(sequence, check)
    }),
    parameters,
  )
}

describe('any events in any order', () => {
  test('a final state never changes', () => {
    property(({ state }, before) => {
      if (!isFinal(before.job.phase)) return
      const { rev: _now, updated_at: _changed, ...job } = state.job
      const { rev: _then, updated_at: _before, ...same } = before.job
      expect(job).toEqual(same)
    })
  })

  test('a job moves to another account only while all of its attempts are closed, and is looked for where it is', () => {
    property((world, before) => {
      const { state } = world
      const whereIs = (id: string): string | undefined => world.newest(id)?.account
      if (state.job.account !== before.job.account)
        for (const attempt of before.attempts) expect(attempt.state).toBe('closed')
      for (const { n, state: now, account, prediction_id } of state.attempts) {
        if (now !== 'closed' && n === state.job.attempt) expect(account).toBe(state.job.account)
        if (prediction_id !== null) expect(whereIs(prediction_id)).toBe(account)
      }
      for (const effect of state.effects)
        if (effect.kind === 'cancel') {
          const account = effect.account ?? attemptOf(state, effect.attempt)?.account
          expect(whereIs(effect.prediction_id)).toBe(account)
        }
    })
  })

  test('the end is owed once, and the start of what ran once, before the end', () => {
    property(({ state: { job }, owed }) => {
      const end = isFinal(job.phase) ? [`job.${job.status}`] : []
      const starts = owed.filter((type) => type === 'job.started')
      expect(starts.length).toBeLessThanOrEqual(1)
      if (job.status === 'processing' || job.status === 'succeeded') expect(starts).toHaveLength(1)
      if (isFinal(job.phase) && job.started_at !== null) expect(starts).toHaveLength(1)
      expect(owed).toEqual([...starts, ...end])
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

  test('a next attempt only comes after the last is closed: not created or failed; or given up where that is wanted', () => {
    property(({ state, givenUp }, before) => {
      if (state.job.attempt === before.job.attempt) return
      for (const attempt of before.attempts) {
        if (givenUp.has(attempt.n)) {
          expect(before.job.on_unknown).toBe('retry')
          continue
        }
        expect(attempt.state).toBe('closed')
        const ends = ['not_sent', 'refused', 'not_created']
        expect(attempt.prediction_id === null ? ends : ['failed']).toContain(attempt.outcome)
      }
      expect(waitsForIntent(before)).toBe(true)
    })
  })

  test('only the newest attempt, and what was given up, is not closed, and never do two predictions live', () => {
    property((world) => {
      const { job, attempts } = world.state
      for (const attempt of attempts)
        if (attempt.n !== job.attempt && !world.givenUp.has(attempt.n)) expect(attempt.state).toBe('closed')
      if (!world.twins) expect(world.live().length).toBeLessThanOrEqual(1)
    })
  })

  test('a POST made a prediction once, once more for each failure of the platform, and for what stays undecided', () => {
    property(({ state, permits, givenUp }) => {
      const posted = permits.filter(({ posted: id }) => id !== null)
      expect(posted.length).toBeLessThanOrEqual(1 + state.job.resubmissions + givenUp.size)
      expect(new Set(posted.map(({ attempt }) => attempt)).size).toBe(posted.length)
      expect(state.job.resubmissions).toBeLessThanOrEqual(MAX_RESUBMISSIONS)
    })
  })

  test('the time to be started ends the job when it is over, pauses not counted, and restarts with the next prediction', () => {
    property(({ state, now, paused }, before) => {
      if (state.job.phase === 'resubmitting' && before.job.resubmissions < state.job.resubmissions)
        expect(state.job).toMatchObject({ start_since: now, start_paused: paused })
      else expect(state.job.start_since).toBe(before.job.start_since)
      const over = ({ job }: JobState): boolean =>
        now - job.start_since - (paused - job.start_paused) >= job.start_within * 1000 || isOverdue(job, now)
      if (waitsForIntent(state))
        expect(transition(state, { type: 'tick' }, context(now, { paused })).kind === 'commit').toBe(over(state))
      if (state.job.error?.code === 'start_within_expired' && !isFinal(before.job.phase))
        expect(over(before)).toBe(true)
    })
  })

  test('the deadline of a job ends what waits or may run, and the job is due by then', () => {
    property(({ state, now, paused, due }) => {
      const { job } = state
      const deadline = deadlineOf(job)
      if (deadline === null || isFinal(job.phase) || job.phase === 'stopping' || job.phase === 'storing') return
      const grace =
        attemptOf(state, job.attempt)?.state === 'open' ? job.timeout * 1000 + DEFAULT_TIMINGS.timeoutGrace : 0
      expect(due.get(`job:${JOB}`)).toBeLessThanOrEqual(Math.max(now, deadline) + grace)
      const end = transition(state, { type: 'tick' }, context(Math.max(now, deadline) + grace, { paused }))
      expect(end).toMatchObject({
        kind: 'commit',
        job: waitsForIntent(state)
          ? { phase: 'failed', error: { code: 'timeout' } }
          : { phase: 'stopping', stop: { reason: 'timeout' } },
      })
    })
  })

  test('a 404 is held against a prediction only until it is seen again', () => {
    property((world, before) => {
      for (const { n, outcome } of world.state.attempts)
        if (outcome === 'provider_lost' && attemptOf(before, n)?.state === 'open')
          expect(world.now - (attemptOf(before, n)?.missing_since ?? world.now)).toBeGreaterThanOrEqual(
            DEFAULT_TIMINGS.lostAfter,
          )
      for (const { prediction_id, state: is, missing_since } of world.state.attempts)
        if (is === 'open' && world.seenLast === prediction_id) expect(missing_since).toBeNull()
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

  test('a job is canceled only on request, and fails only with a reason', () => {
    fc.assert(
      fc.property(steps, (sequence) => {
        const { job } = run(sequence, () => undefined).state
        if (!sequence.some(({ name }) => name === 'cancel' || name === 'cancel_output'))
          expect(job.phase).not.toBe('canceled')
        expect(job.error === null).toBe(job.phase !== 'failed' && job.phase !== 'canceled')
        expect(job.completed_at !== null).toBe(isFinal(job.phase))
      }),
      { numRuns: STORIES },
    )
  })

  test('what may have been paid for is never said to be free', () => {
    property((world, before) => {
      const { job } = world.state
      if (isFinal(before.job.phase) || job.error?.billed !== 'no' || world.twins) return
      for (const { posted } of world.permits) {
        const made = posted === null ? undefined : world.newest(posted)?.prediction
        if (!made) continue
        expect(['failed', 'aborted', 'canceled']).toContain(made.status)
        if (made.status === 'canceled') expect(made.started_at).toBeNull()
      }
    })
  })

  test('these stories reach every phase, every end of an attempt, and a third attempt', () => {
    const seen = new Set<Phase>()
    const ends = new Set<string>()
    let attempts = 0
    /** What became of attempts that were given up. */
    const afterGivenUp = new Set<string>()
    property(({ state }, before) => {
      for (const was of before.attempts) {
        const is = attemptOf(state, was.n)
        if (!isGivenUp(was) || is?.state === 'unknown') continue
        const found = state.job.prediction_id === is?.prediction_id ? 'adopted' : 'late'
        afterGivenUp.add(is?.prediction_id ? found : (is?.outcome ?? ''))
      }
      seen.add(state.job.phase)
      for (const { state: is, outcome } of state.attempts) if (is === 'closed') ends.add(outcome ?? '')
      attempts = Math.max(attempts, state.job.attempt)
    }, STORIES_WITH_ALL)
    expect([...seen].sort()).toEqual([...PHASES].sort())
    const upstream = [...TERMINAL_STATUSES, 'provider_lost']
    expect([...ends].sort()).toEqual([...upstream, 'not_created', 'not_sent', 'refused', 'undecided'].sort())
    expect(attempts).toBeGreaterThanOrEqual(3)
    expect([...afterGivenUp].sort()).toEqual(['adopted', 'late', 'not_created', 'not_sent', 'refused', 'undecided'])
  })

  test('the job ends once upstream has ended, is asked or lists, and the outputs are stored', () => {
    fc.assert(
      fc.property(steps, (sequence) => {
        const world = run(sequence, () => undefined)
        for (let round = 0; round < 8; round++) goOn(world)
        expect(isFinal(world.state.job.phase)).toBe(true)
        for (const attempt of world.state.attempts) expect(attempt.state).toBe('closed')
        expect(world.state.effects).toEqual([])
        expect([...world.due.keys()]).toEqual([])
      }),
      { numRuns: STORIES },
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
    for (const report of straight.reports) straight.apply({ type: 'observed', ...report })
    STEPS.stored?.(straight, () => undefined, 0)

    fc.assert(
      fc.property(fc.array(fc.nat(2), { maxLength: 12 }), (order) => {
        const world = new World()
        story(world)
        for (const at of [...order, 2, ...order]) {
          const report = world.reports[at]
          if (report) world.apply({ type: 'observed', ...report })
        }
        STEPS.stored?.(world, () => undefined, 0)
        for (const at of order) {
          const report = world.reports[at]
          if (report) expect(world.apply({ type: 'observed', ...report })).toBeNull()
        }
        expect({ ...world.state.job, rev: 0 }).toEqual({ ...straight.state.job, rev: 0 })
      }),
      { numRuns: examples(100) },
    )
  })
})
