import type { Model } from './models/model.ts'
import { type Prediction, progressAt, startedAtOf } from './prediction.ts'
import { tokenAt, tokensOf } from './run-content.ts'
import { fileNames } from './run-files.ts'
import { logLinesOf } from './run-logs.ts'
import { FILES_AT } from './run-stages.ts'

/** A run as server-sent events. The plan determines the events, so a reconnecting client gets the rest. */

interface StreamEvent {
  /** Progress of the run, from 0 to 1. */
  at: number
  event: 'output' | 'logs'
  data: string
}

interface StreamParts {
  prediction: Prediction
  model: Model
  fileUrl: (name: string) => string
  now: () => number
  /** Number of the last event that the client received; -1: none. */
  after: number
  /** Resolves when the prediction is over or the time has passed. */
  waitForEnd: (ms: number) => Promise<void>
  isGone: () => boolean
  timeoutMs: number
  /** Whether there are `logs` events. */
  withLogs: boolean
}

const TIMEOUT_COMMENT = ':408: 408 Request Timeout\n\n'
const SHORTEST_WAIT_MS = 5
const LONGEST_WAIT_MS = 500

export async function* streamOf(parts: StreamParts): AsyncGenerator<string> {
  const { prediction, waitForEnd, isGone, timeoutMs, now } = parts
  const state = { next: parts.after + 1 }
  let silentSince = now()
  for (;;) {
    const { end } = prediction
    const events = dueEvents(parts, state, now())
    if (events !== '') {
      silentSince = now()
      yield events
    }
    if (end !== null) return yield closing(parts, state.next)
    if (isGone()) return
    if (now() - silentSince >= timeoutMs) return yield TIMEOUT_COMMENT
    await waitForEnd(Math.min(nextIn(parts, state.next), Math.max(1, silentSince + timeoutMs - now())))
  }
}

function eventsOf({ prediction, model, fileUrl, withLogs }: StreamParts): StreamEvent[] {
  const outputs = outputsOf(prediction, model, fileUrl)
  if (!withLogs) return outputs
  const lines = logLinesOf(prediction, model).map(({ at, line }) => ({ at, event: 'logs' as const, data: `${line}\n` }))
  return [...lines, ...outputs].toSorted((a, b) => a.at - b.at)
}

function outputsOf(prediction: Prediction, model: Model, fileUrl: (name: string) => string): StreamEvent[] {
  const event = 'output' as const
  if (model.output.kind === 'text') {
    const tokens = tokensOf(prediction, model)
    return tokens.map((data, i) => ({ at: tokenAt(i, tokens.length), event, data }))
  }
  if (prediction.plan.error !== null) return []
  return fileNames(prediction, model).map((name) => ({ at: FILES_AT, event, data: fileUrl(name) }))
}

/** All events available from the next one on. */
function dueEvents(parts: StreamParts, state: { next: number }, now: number): string {
  const { prediction } = parts
  const startedAt = startedAtOf(prediction)
  if (startedAt === null || startedAt > now) return ''
  const progress = prediction.end?.status === 'succeeded' ? 1 : progressAt(prediction, now)
  const events = eventsOf(parts)
  const from = state.next
  while ((events[state.next]?.at ?? Infinity) <= progress) state.next += 1
  return events
    .slice(from, state.next)
    .map(({ event, data, at }, i) => encoded(event, data, idOf(startedAt + at * prediction.plan.runForMs, from + i)))
    .join('')
}

function nextIn(parts: StreamParts, next: number): number {
  const startedAt = startedAtOf(parts.prediction)
  if (startedAt === null) return LONGEST_WAIT_MS
  const at = eventsOf(parts)[next]?.at ?? 1
  const ms = startedAt + at * parts.prediction.plan.runForMs - parts.now()
  return Math.max(SHORTEST_WAIT_MS, Math.min(LONGEST_WAIT_MS, ms))
}

/** The final events of a stream: `error`, if any, before `done`. */
function closing({ prediction: { end, plan }, now }: StreamParts, next: number): string {
  const id = (n: number) => idOf(end?.at ?? now(), n)
  if (end?.status === 'succeeded') return encoded('done', '{}', id(next))
  if (end?.status !== 'failed') return encoded('done', '{"reason":"canceled"}', id(next))
  const error = encoded('error', JSON.stringify({ detail: plan.error }), id(next))
  return `${error}${encoded('done', '{"reason":"error"}', id(next + 1))}`
}

const idOf = (ms: number, n: number) => `${Math.floor(ms / 1000)}:${n}`

function encoded(event: string, data: string, id: string): string {
  const lines = data.split('\n').map((line) => `data: ${line}\n`)
  return `event: ${event}\nid: ${id}\n${lines.join('')}\n`
}
