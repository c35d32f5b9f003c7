import type { Rate } from '../../limits/rules/budget.ts'
import type { JobKeys } from '../record/job-keys.ts'
import type { Status } from '../rules/job.ts'
import type { OwedWhen } from '../rules/consequence.ts'
import type { BatchStop, Moment, PauseReason } from '../rules/decision.ts'
import type { CommitResult, Owed } from '../ports.ts'
import type { OwedType } from '../../notifications/rules/event-types.ts'

/** A key of the same commit, as an argument of an operation. */
export class KeyIndex {
  private readonly index: number

  constructor(index: number) {
    this.index = index
  }

  toString(): string {
    return String(this.index)
  }
}

type Pairs = (string | number)[]

/** The guards and writes of commit.lua with their arguments after the key, which are explained there. Moments: ms. */
export interface CommitOperations {
  afford: [amount: number]
  ask: []
  budgets_are: [...scopesAndTexts: Pairs]
  batch_done: [after: number, batch: string]
  below: [limit: number, more: number]
  charge_budget: [id: string, subject: string, amount: number, keepUntil: number, levels: string]
  correct_budget: [id: string, subject: string, held: number]
  count_spending: [ttl: number, held: number, label: string]
  count_stored: [tenant: string, bytes: number, files: number]
  crowd: [limit: number, pause: number]
  del: []
  deployment: [id: string]
  expire: [after: number]
  fault: [limit: number, first: number, longest: number, reason: PauseReason]
  first: [member: string]
  free: []
  generation: [id: string, account: string, created: number, ...others: string[]]
  hdel: [...fields: string[]]
  healthy: []
  hincrby: [field: string, by: number]
  hold: [ledger: KeyIndex, batch: string, ...amountsJobsAndBudgets: Pairs]
  hset: [...fieldsAndValues: Pairs]
  hset_in: [field: string, after: number]
  hset_line: [field: string, text: string]
  hset_paused: [clocks: KeyIndex, field: string, ...scopes: string[]]
  in_batch: [live: KeyIndex, job: string, from: Status, to: Status]
  land: [
    line: KeyIndex,
    lanes: KeyIndex,
    heads: KeyIndex,
    interactive: KeyIndex,
    batch: KeyIndex,
    shares: KeyIndex,
    places: KeyIndex,
    parked: KeyIndex,
    job: string,
    ...scopes: string[],
  ]
  leased: [job: string, lease: string]
  may_begin: [held: number, isFirst: 0 | 1]
  may_spend: [id: string, subject: string, amount: number, limit: number | '', from: number, until: number]
  may_store: [tenants: KeyIndex, tenant: string, bytes: string, files: string]
  mine: [value: string]
  model_fault: [
    pauses: KeyIndex,
    clocks: KeyIndex,
    target: string,
    sent: number,
    limit: number,
    first: number,
    longest: number,
  ]
  model_pass: [pauses: KeyIndex, clocks: KeyIndex, target: string, lease: number]
  model_works: [pauses: KeyIndex, clocks: KeyIndex, target: string, sent: number]
  owe: [
    due: KeyIndex,
    subscribed: KeyIndex,
    type: OwedType,
    own: 0 | 1,
    when: '' | OwedWhen,
    field: string,
    text: string,
    after: number,
    member: string,
  ]
  pause: [ms: number, reason: PauseReason]
  probe_back: [claim: string]
  room: [limits: KeyIndex, pauses: KeyIndex, job: string, ...scopes: string[]]
  sadd: [member: string]
  set: [text: string]
  settle: [
    ledger: KeyIndex,
    spending: KeyIndex,
    batch: KeyIndex | 0,
    kind: 'capture' | 'release',
    held: number,
    actual: number | '',
    job: string,
    batchId: string,
    label: string,
    begun: 0 | 1,
  ]
  srem: [member: string]
  stop_batch: [reason: BatchStop]
  throttled: [pause: number, sent: number, perMinute: number | '', burst: number | '']
  xadd: [maxLength: number, ...fieldsAndValues: Pairs]
  zadd: [score: number, member: string]
  zadd_all: [...members: string[]]
  zadd_from: [score: number, ...members: string[]]
  zadd_in: [after: number, ...members: string[]]
  zrem: [member: string]
}
export type CommitOperation = keyof CommitOperations

/** A row of an outbox. `own`: a webhook of the job or batch hears of it. `after`: ms until its doorbell is rung again. */
interface OweRow {
  due: string
  subscribed: string
  field: string
  member: string
  after: number
  own: boolean
  when: '' | OwedWhen
  owed: Owed
}

/** The guards and writes of one run of commit.lua, with every key that they name. */
export class CommitScriptInput {
  readonly keys: string[] = []
  private readonly indexes = new Map<string, number>()
  readonly operations: string[] = []
  private readonly notices = new Map<string, Owed>()

  constructor(job: string, account: string) {
    for (const key of [job, account]) this.position(key)
  }

  add<O extends CommitOperation>(operation: O, key: string, ...args: CommitOperations[O]): this {
    this.operations.push(operation, String(this.position(key)), String(args.length), ...args.map(String))
    return this
  }

  /** The row `field` of an outbox, if somebody hears of its type; `owed`: what it is. */
  owe(outbox: string, { due, subscribed, field, member, after, own, when, owed }: OweRow): this {
    this.notices.set(field, owed)
    const { type } = owed.notice
    const [dueAt, heard] = [this.indexOf(due), this.indexOf(subscribed)]
    const text = JSON.stringify(owed.notice)
    return this.add('owe', outbox, dueAt, heard, type, own ? 1 : 0, when, field, text, Math.round(after), member)
  }

  /** A job in flight of these scopes has ended. */
  land(keys: JobKeys, job: string, scopes: readonly string[]): this {
    const [line, lanes, heads] = [this.indexOf(keys.line), this.indexOf(keys.lanes), this.indexOf(keys.laneHeads)]
    const [interactive, batch] = [this.indexOf(keys.turns('interactive')), this.indexOf(keys.turns('batch'))]
    const [shares, places, parked] = [this.indexOf(keys.shares), this.indexOf(keys.places), this.indexOf(keys.parked)]
    const order = [line, lanes, heads, interactive, batch, shares, places, parked] as const
    return this.add('land', keys.flight, ...order, job, ...scopes)
  }

  /** What a run of the script owed. */
  owedBy({ owed }: Pick<CommitReply, 'owed'>): Owed[] {
    return owed.flatMap((field) => this.notices.get(field) ?? [])
  }

  /** The index of a key, for an operation that names further keys in its arguments. */
  indexOf(key: string): KeyIndex {
    return new KeyIndex(this.position(key))
  }

  private position(key: string): number {
    const known = this.indexes.get(key)
    if (known !== undefined) return known
    const index = this.keys.push(key)
    this.indexes.set(key, index)
    return index
  }

  /** Sets `field` of a hash to a moment. */
  setMoment(key: string, field: string, moment: Moment): this {
    return typeof moment === 'number'
      ? this.add('hset', key, field, moment)
      : this.add('hset_in', key, field, moment.in)
  }

  /** Makes `member` of a sorted set due at a moment. */
  dueAt(key: string, member: string, moment: Moment): this {
    return typeof moment === 'number'
      ? this.add('zadd', key, Math.round(moment), member)
      : this.add('zadd_in', key, Math.round(moment.in), member)
  }
}

/** `new_work` is refused when Redis is full, `intent` until the recovery gate has opened. */
export type CommitKind = 'new_work' | 'always' | 'intent'

/** This process's estimate of the Redis clock, ms. */
export interface RedisClock {
  now(): number
  observe(now: number): void
}

/** What a commit requires, apart from its guards. */
export interface CommitHead {
  id: string
  /** The revision on which the decision was made; null: the job must not exist yet. */
  revision: number | null
  /** The commit that wrote that revision: another memory of Redis may hold another one. '' when it is not known. */
  basis?: string
  /** Latest time of the commit: ms, Redis clock. */
  notAfter?: number
  /** The create budget of the account, for a commit that takes a token or hears of a 429. */
  creates?: Rate
  takesToken?: boolean
  /** For an intent: its account, when the job was created (ms), and the other accounts whose gates it may depend on. */
  gate?: { account: string; created: number; compared: readonly string[] }
}

/** A hard budget has no room: what it counts for the subject, micro-credits. */
export interface BudgetRefusal {
  status: 'over_budget'
  id: string
  used: number
  subject: string
}

export interface CommitReply {
  result: Exclude<CommitResult, { status: 'applied' | 'over_budget' }> | { status: 'applied' } | BudgetRefusal
  /** ms, Redis clock */
  now: number
  detail: string
  /** The fields of the rows that were owed. */
  owed: string[]
  /** Number of lanes that may go on. */
  woken: number
}

/** Runs commit.lua, for every store that writes with it. */
export interface CommitRunner {
  clock: RedisClock
  run(script: CommitKind, input: CommitScriptInput, head: CommitHead): Promise<CommitReply>
  /** Opens the recovery gate of a generation; false when Redis holds another generation by now. */
  allowIntents(generation: string, account: string): Promise<boolean>
}
