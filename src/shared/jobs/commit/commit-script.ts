import type { Moment } from '../rules/decision.ts'
import type { CommitResult } from '../ports.ts'

/** The guards and writes of commit.lua; a test compares both lists. */
export const COMMIT_OPERATIONS = [
  'afford',
  'batch_done',
  'below',
  'count_stored',
  'crowd',
  'del',
  'deployment',
  'fault',
  'first',
  'free',
  'generation',
  'hdel',
  'healthy',
  'hincrby',
  'hold',
  'hset',
  'hset_in',
  'hset_line',
  'hset_paused',
  'in_batch',
  'may_begin',
  'may_store',
  'mine',
  'pause',
  'probe_back',
  'room',
  'sadd',
  'set',
  'settle',
  'srem',
  'stop_batch',
  'xadd',
  'zadd',
  'zadd_all',
  'zadd_from',
  'zadd_in',
  'zrem',
] as const
export type CommitOperation = (typeof COMMIT_OPERATIONS)[number]

/** The guards and writes of one run of commit.lua, with every key that they name. */
export class CommitScriptInput {
  readonly keys: string[] = []
  private readonly indexes = new Map<string, number>()
  readonly operations: string[] = []

  constructor(job: string, account: string) {
    for (const key of [job, account]) this.indexOf(key)
  }

  add(operation: CommitOperation, key: string, ...args: (string | number)[]): this {
    this.operations.push(operation, String(this.indexOf(key)), String(args.length), ...args.map(String))
    return this
  }

  /** The index of a key, for an operation that names further keys in its arguments. */
  indexOf(key: string): number {
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
  /** Microseconds per token of the create budget, and its tolerance: the commit takes a token. */
  budget?: { interval: number; tolerance: number }
}

export interface CommitReply {
  result: Exclude<CommitResult, { status: 'applied' }> | { status: 'applied' }
  /** ms, Redis clock */
  now: number
  detail: string
}

/** Runs commit.lua, for every store that writes with it. */
export interface CommitRunner {
  clock: RedisClock
  run(script: CommitKind, input: CommitScriptInput, head: CommitHead): Promise<CommitReply>
  /** Opens the recovery gate of a generation; false when Redis holds another generation by now. */
  allowIntents(generation: string): Promise<boolean>
}

/** An accept was refused: Redis has lost this deployment, or holds another one. */
export class DeploymentLostError extends Error {
  override name = 'DeploymentLostError'
}

/** An intent was refused: Redis's memory may have gone back, and has not been compared with upstream's list since. */
export class GateClosedError extends Error {
  override name = 'GateClosedError'
}
