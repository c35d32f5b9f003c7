import { writeSync } from 'node:fs'
import type { PortWraps } from '../../src/compose/core.ts'
import type { Cause } from '../../src/shared/jobs/rules/job.ts'
import type { Commit } from '../../src/shared/jobs/rules/decision.ts'
import type { PredictionPort } from '../../src/shared/replicate/prediction-port.ts'

/**
 * The borders of a process: exactly before and after each commit and each call. At the n-th pass of one, the process
 * ends (SIGKILL) or stands still (SIGSTOP), as if it had been struck from outside at that very moment.
 */

/** What a commit does, by its name here. */
export const COMMITS = [
  'accept',
  'intend',
  'created',
  'refused',
  'lost',
  'webhook',
  'poll',
  'list',
  'absent',
  'cancel',
  'stored',
  'tick',
  'other',
] as const
export type CommitName = (typeof COMMITS)[number]

const CALLS = ['create', 'get', 'list', 'cancel', 'account'] as const

/** A notice becomes a notification; an attempt is recorded. */
const NOTIFY = ['add', 'record'] as const

type Side = 'before' | 'after'
export type Border =
  | `commit:${CommitName}:${Side}`
  | `${(typeof CALLS)[number]}:${Side}`
  | `store:copy:${Side | 'middle'}`
  | `notify:${(typeof NOTIFY)[number]}:${Side}`

export interface Strike {
  border: Border
  /** 1: the first time */
  pass: number
  signal: 'SIGKILL' | 'SIGSTOP'
}

const SIDES = ['before', 'after'] as const
export const API_BORDERS: readonly Border[] = (['accept', 'webhook', 'cancel'] as const).flatMap((name) =>
  SIDES.map((side): Border => `commit:${name}:${side}`),
)
export const WORKER_BORDERS: readonly Border[] = [
  ...(['intend', 'created', 'refused', 'lost', 'poll', 'list', 'absent', 'stored', 'tick'] as const).flatMap((name) =>
    SIDES.map((side): Border => `commit:${name}:${side}`),
  ),
  ...CALLS.flatMap((name) => SIDES.map((side): Border => `${name}:${side}`)),
  'store:copy:before',
  'store:copy:middle',
  'store:copy:after',
  ...NOTIFY.flatMap((name) => SIDES.map((side): Border => `notify:${name}:${side}`)),
]

/** How the process says that it was struck; the harness waits for this line. */
export const STRUCK = /^chaos: (\S+) at (\S+)$/

function nameOf({ takesBudget, attempt, job, effects }: Commit, cause: Cause): CommitName {
  if (takesBudget) return 'intend'
  if (effects.remove.some((key) => key.startsWith('store:'))) return 'stored'
  if (attempt?.changes.state === 'unknown') return 'lost'
  switch (cause) {
    case 'create':
      return attempt?.changes.prediction_id === undefined ? 'refused' : 'created'
    case 'list':
      return attempt?.changes.absent_since !== undefined || attempt?.changes.outcome === 'not_created'
        ? 'absent'
        : 'list'
    case 'webhook':
    case 'poll':
    case 'cancel':
      return cause
    case 'api':
      return job.stop !== undefined || job.phase === 'canceled' ? 'cancel' : 'other'
    case 'sweep':
      return 'tick'
    case 'worker':
      return 'other'
  }
}

export function strikeAt(strike: Strike): PortWraps {
  let left = strike.pass
  const pass = (border: Border): void => {
    if (border !== strike.border || --left !== 0) return
    // Synchronous: nothing else of this process happens between the line and the signal.
    writeSync(1, `chaos: ${strike.signal} at ${border}\n`)
    process.kill(process.pid, strike.signal)
  }
  const around = async <T>(
    name: `commit:${CommitName}` | (typeof CALLS)[number] | `notify:${(typeof NOTIFY)[number]}`,
    act: () => Promise<T>,
  ): Promise<T> => {
    pass(`${name}:before`)
    const result = await act()
    pass(`${name}:after`)
    return result
  }
  async function* withMiddle(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let first = true
    for await (const chunk of body) {
      const half = first ? Math.ceil(chunk.byteLength / 2) : chunk.byteLength
      yield chunk.subarray(0, half)
      if (first) pass('store:copy:middle')
      if (half < chunk.byteLength) yield chunk.subarray(half)
      first = false
    }
  }
  return {
    store: (store) => ({
      ...store,
      create: (...args) => around('commit:accept', () => store.create(...args)),
      commit: (state, commit, cause, ...rest) =>
        around(`commit:${nameOf(commit, cause)}`, () => store.commit(state, commit, cause, ...rest)),
    }),
    upstream: (upstream): PredictionPort => ({
      create: (request, beginBy) => around('create', () => upstream.create(request, beginBy)),
      get: (id) => around('get', () => upstream.get(id)),
      output: (id, taker, signal) => around('get', () => upstream.output(id, taker, signal)),
      cancel: (id) => around('cancel', () => upstream.cancel(id)),
      list: (window) => around('list', () => upstream.list(window)),
      account: () => around('account', () => upstream.account()),
      uploadFile: (file, signal) => upstream.uploadFile(file, signal),
      webhookSecret: (timeout) => upstream.webhookSecret(timeout),
      model: (name, version) => upstream.model(name, version),
      deployment: (name) => upstream.deployment(name),
    }),
    notifications: (store) => ({
      ...store,
      add: (notification) => around('notify:add', () => store.add(notification)),
      record: (...args) => around('notify:record', () => store.record(...args)),
    }),
    artifacts: (artifacts) => ({
      ...artifacts,
      async put(key, body, options) {
        pass('store:copy:before')
        const file = await artifacts.put(key, withMiddle(body), options)
        pass('store:copy:after')
        return file
      },
    }),
  }
}
