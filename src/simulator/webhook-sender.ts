import { Agent, request } from 'undici'
import type { Clock, Timer } from './clock.ts'
import type { Faults } from './faults.ts'
import type { Habits } from './habits.ts'
import { newWebhookSecret } from './identifiers.ts'
import type { WebhookCounts } from './book-state.ts'
import type { WebhookEvent } from './prediction.ts'
import { signWebhook } from './webhook-signature.ts'

export interface WebhookMessage {
  /** `webhook-id`: the same for every delivery. */
  id: string
  event: WebhookEvent
  url: string
  body: string
  prediction: string
  /** Whose secret signs it. */
  account: string
}

export interface WebhookSender {
  /** Starts delivery. Calls `settled` once, when the message is delivered, given up or dropped. */
  send(message: WebhookMessage, settled?: () => void): void
  /** Discards everything waiting or in flight. */
  forget(): void
  stop(): Promise<void>
}

interface Parts {
  clock: Clock
  secret: (account: string) => string
  habits: () => Habits
  faults: Faults
  count: (name: keyof WebhookCounts) => void
  log: (line: object) => void
}

const MAX_IN_FLIGHT = 256
const AFTER_TERMINAL_MS = 100

/** Delivers webhooks as Replicate does: only the terminal one is retried, redirects are not followed. */
export function createWebhookSender({ clock, secret, habits, faults, count, log }: Parts): WebhookSender {
  const agent = new Agent({ connections: 64, connect: { timeout: 5000 }, keepAliveTimeout: 10_000 })
  const timers = new Set<Timer>()
  const waiting: (() => Promise<void>)[] = []
  const inFlight = new Set<Promise<void>>()
  /** Messages held back until the last one of their prediction is sent. */
  const heldBack = new Map<string, WebhookMessage[]>()
  let abort = new AbortController()
  let isStopped = false

  function later(ms: number, action: () => void): void {
    if (isStopped) return
    const timer = clock.after(ms, () => {
      timers.delete(timer)
      action()
    })
    timers.add(timer)
  }

  function enqueue(task: () => Promise<void>): void {
    if (isStopped) return
    waiting.push(task)
    pump()
  }

  function pump(): void {
    while (inFlight.size < MAX_IN_FLIGHT) {
      const task = waiting.shift()
      if (task === undefined) return
      const running = clock.hold(task()).finally(() => {
        inFlight.delete(running)
        pump()
      })
      inFlight.add(running)
    }
  }

  function send(message: WebhookMessage, settled: () => void = () => undefined): void {
    const { event } = message
    if (faults.strike('webhooks', 'drop', event) !== null) {
      count('dropped')
      settled()
      return
    }
    if (event !== 'completed' && faults.strike('webhooks', 'reorder', event) !== null) {
      const before = heldBack.get(message.prediction)
      if (before) before.push(message)
      else heldBack.set(message.prediction, [message])
      return
    }
    const copies = faults.strike('webhooks', 'duplicate', event)?.times ?? 0
    const delay = faults.strike('webhooks', 'delay', event)
    const start = () => {
      deliver(message, settled)
      for (let copy = 0; copy < copies; copy++) deliver({ ...message }, () => undefined)
      if (event === 'completed') later(AFTER_TERMINAL_MS, () => releaseHeldBack(message.prediction))
    }
    if (delay === null) start()
    else later(delay.seconds * 1000, start)
  }

  function releaseHeldBack(prediction: string): void {
    const messages = heldBack.get(prediction) ?? []
    heldBack.delete(prediction)
    for (const message of messages) deliver(message, () => undefined)
  }

  /** Attempts first now and schedules the others from now: after a restart, a pending message gets the whole schedule. */
  function deliver(message: WebhookMessage, settled: () => void): void {
    const offsets = message.event === 'completed' ? habits().webhook_retry_seconds : [0]
    const startedAt = clock.now()
    const attempt = (number: number) =>
      enqueue(async () => {
        const delivered = await post(message)
        const next = offsets[number + 1]
        if (delivered || next === undefined || isNowhere(message.url)) return settled()
        later(Math.max(0, startedAt + next * 1000 - clock.now()), () => attempt(number + 1))
      })
    const first = (offsets[0] ?? 0) * 1000
    if (first === 0) attempt(0)
    else later(first, () => attempt(0))
  }

  async function post(message: WebhookMessage): Promise<boolean> {
    count('sent')
    const outcome = isNowhere(message.url) ? 'the name does not exist' : await exchange(message)
    const delivered = typeof outcome === 'number' && outcome >= 200 && outcome < 300
    count(delivered ? 'delivered' : 'failed')
    if (!delivered) log({ event: 'webhook_failed', prediction: message.prediction, webhook: message.event, outcome })
    return delivered
  }

  /** The response's status, or an error text. */
  async function exchange(message: WebhookMessage): Promise<number | string> {
    const timeout = habits().webhook_timeout_seconds * 1000
    try {
      const response = await request(message.url, {
        method: 'POST',
        headers: headersOf(message),
        body: message.body,
        dispatcher: agent,
        headersTimeout: timeout,
        bodyTimeout: timeout,
        signal: abort.signal,
      })
      await response.body.dump()
      return response.statusCode
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    }
  }

  function headersOf({ id, event, body, account }: WebhookMessage): Record<string, string> {
    const old = faults.strike('webhooks', 'old_timestamp', event)?.seconds ?? 0
    // The receiver compares it with its own time, which nobody has advanced.
    const timestamp = Math.floor(Date.now() / 1000 - old)
    const right = signWebhook(secret(account), id, timestamp, body)
    const wrong = () => signWebhook(newWebhookSecret(), id, timestamp, body)
    const isWrong = faults.strike('webhooks', 'wrong_signature', event) !== null
    const areTwo = faults.strike('webhooks', 'two_signatures', event) !== null
    const signature = isWrong ? wrong() : right
    return {
      'content-type': 'application/json',
      'user-agent': 'Webhooks/1.66.0 (simulator)',
      'accept-encoding': 'gzip',
      'webhook-id': id,
      'webhook-timestamp': String(timestamp),
      'webhook-signature': areTwo ? `${wrong()} ${signature}` : signature,
    }
  }

  function forget(): void {
    for (const timer of timers) timer.cancel()
    timers.clear()
    waiting.length = 0
    heldBack.clear()
    abort.abort()
    abort = new AbortController()
  }

  return {
    send,
    forget,
    async stop() {
      isStopped = true
      forget()
      await Promise.allSettled(inFlight)
      await agent.destroy()
    },
  }
}

/** `.invalid` is reserved (RFC 2606) and never resolves, so the lookup is skipped. */
const isNowhere = (url: string) => new URL(url).hostname.endsWith('.invalid')
