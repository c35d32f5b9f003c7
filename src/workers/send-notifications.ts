import { isUnreadableRecord, NewerRecordError } from '../shared/jobs/record/record-codec.ts'
import type { Timings } from '../shared/jobs/rules/timings.ts'
import type { EndpointStore, NoticeStore, NotificationStore, DestinationHealth } from '../shared/notifications/ports.ts'
import type { Endpoint } from '../shared/notifications/rules/endpoint.ts'
import { noticeIdOf } from '../shared/notifications/rules/notice.ts'
import type { Notification } from '../shared/notifications/rules/notification.ts'
import { WAITS } from '../shared/notifications/rules/retry.ts'
import { verdictOf } from '../shared/notifications/rules/verdict.ts'
import type { Message, Postponed, SendResult, Transport } from '../shared/notifications/transport-port.ts'
import type { Logger } from '../shared/process/logger.ts'
import { isRedisTrouble } from '../shared/redis/trouble.ts'
import type { SigningSecretStore } from '../shared/tenants/ports.ts'
import { withDeadline } from '../shared/values/deadline.ts'
import { createPlaces, type Destination } from './notification-places.ts'

export interface SendDependencies {
  store: Pick<NotificationStore, 'claimDestinations' | 'take' | 'record' | 'postpone' | 'hold' | 'resume' | 'abandon'>
  endpoints: Pick<EndpointStore, 'read' | 'change'>
  notices: Pick<NoticeStore, 'owe'>
  secrets: Pick<SigningSecretStore, 'read'>
  transports: readonly Transport[]
  /** The text to send, JSON. */
  bodyOf: (notification: Message['notification']) => Promise<string>
  timings: Pick<Timings, 'notifyLease' | 'notifyFirstRetry'>
  log: Logger
  random?: () => number
  /** ms */
  stopWithin?: number
}

export interface Sender {
  /** Sends what is due; returns at once. */
  wake(): void
  /**
   * Takes nothing more; aborts what is still being sent after a moment. Its outcome is unknown, so it is sent again. Ends within
   * `stopWithin`, also when Redis does not respond.
   */
  stop(): Promise<void>
}

/** Destinations that are claimed at once. */
const CLAIMED = 100
/** When the process stops: the end of all attempts, ms, and the part of that time after which those that still wait are aborted. */
const STOP_WITHIN_MS = 4000
const ABORT_AFTER = 0.75
/** Unreadable notifications that are remembered, so that each is logged once. */
const MOST_LOGGED = 1000

const DETAILS = { gone: 'It responded with 410 Gone.', failing: 'Every attempt has failed for 5 days.' }

/**
 * Sends notifications: one in each worker process. It claims destinations in the order in which they may be served, and takes a
 * few notifications of each, as far as there are places for them (notification-places.ts).
 */
export function createSender(dependencies: SendDependencies): Sender {
  const { store, endpoints, notices, secrets, timings, log } = dependencies
  const { random = Math.random, stopWithin = STOP_WITHIN_MS } = dependencies
  const transports = new Map(dependencies.transports.map((one) => [one.kind, one]))
  const places = createPlaces()
  const stopping = new AbortController()
  const inFlight = new Set<Promise<void>>()
  /** The unreadable notifications that the log has. */
  const logged = new Set<string>()
  const pace = timings.notifyFirstRetry / WAITS[0]
  let isClaiming = false
  let isWanted = false

  async function claim(): Promise<void> {
    while (!stopping.signal.aborted && places.hasRoom()) {
      const claimed = await store.claimDestinations(CLAIMED, timings.notifyLease)
      for (const one of claimed) places.offer(one)
      serve()
      if (claimed.length < CLAIMED) return
    }
  }

  async function claimAll(): Promise<void> {
    while (isWanted && !isStopped) {
      isWanted = false
      try {
        await claim()
      } catch (error) {
        // What is due stays due: the sweep rings again.
        log.warn({ err: error }, 'could not look for notifications to send; retrying')
        return
      }
    }
  }

  let isStopped = false
  function wake(): void {
    isWanted = true
    if (isClaiming || isStopped) return
    isClaiming = true
    track(
      claimAll().finally(() => {
        isClaiming = false
        if (isWanted && !isStopped && places.hasRoom()) setImmediate(wake)
      }),
    )
  }

  /** Gives the free places to destinations. */
  function serve(): void {
    for (let next = places.next(); next !== null && !isStopped; next = places.next()) {
      const { destination, seats } = next
      track(takeFrom(destination, seats))
    }
  }

  function track(work: Promise<void>): void {
    inFlight.add(work)
    void work.finally(() => inFlight.delete(work))
  }

  /** They stay where they are, and are taken again after their lease: perhaps by a release that can read them. */
  function leave(unreadable: readonly string[]): void {
    const found = unreadable.filter((id) => !logged.has(id))
    if (found.length === 0) return
    if (logged.size > MOST_LOGGED) logged.clear()
    for (const id of found) logged.add(id)
    log.warn({ notifications: found }, 'notifications cannot be read by this release; they are left as they are')
  }

  async function takeFrom(destination: Destination, seats: number): Promise<void> {
    let left = seats
    try {
      const began = performance.now()
      const { notifications, unreadable, more, now } = await store.take(destination.name, seats, timings.notifyLease)
      places.release(destination, seats - notifications.length)
      left = notifications.length
      if (more) places.offer(destination)
      leave(unreadable)
      const clock = (): number => Math.round(now + performance.now() - began)
      for (const notification of notifications) {
        left--
        track(
          sendOne(notification, destination, clock).finally(() => {
            places.release(destination, 1)
            wake()
            serve()
          }),
        )
      }
      // Otherwise those that are sent go on with the rest when they end.
      if (notifications.length === 0) serve()
    } catch (error) {
      places.release(destination, left)
      log.warn(
        { err: error, destination: destination.name },
        'could not take notifications; they are taken again later',
      )
    }
  }

  async function sendOne(notification: Notification, destination: Destination, clock: () => number): Promise<void> {
    const { id, tenant } = notification
    try {
      const found = await receiverOf(notification)
      if (found === null) {
        await store.abandon(tenant, destination.name, 'endpoint_removed')
        return
      }
      if (found.endpoint !== null && found.endpoint.disabled !== null) {
        await settleDisabled(found.endpoint)
        return
      }
      const at = clock()
      const result = await attempt(notification, found, at)
      if ('postponed' in result) {
        await store.postpone(notification, Math.round(result.postponed * pace))
        return
      }
      const now = clock()
      const { outcome, ends } = verdictOf(notification, result, { health: destination.health, now, random: random() })
      if (outcome.destination !== null)
        places.learn(destination, outcome.destination === 'well' ? well(now) : failed(destination.health, now))
      const { status, error, detail } = result
      const paced = { ...outcome, next: scaled(outcome.next, pace), pause: scaled(outcome.pause, pace) }
      const recorded = await store.record(notification, { at, duration: now - at, status, error, detail }, paced)
      if (recorded && outcome.state !== 'delivered')
        log.info({ notification: id, tenant, status, error, state: outcome.state }, 'a notification was not delivered')
      if (ends !== null) await end(notification, ends, now)
    } catch (error) {
      if (stopping.signal.aborted) return
      log.warn({ err: error, notification: id }, 'a notification could not be sent or recorded; it is sent again')
    }
  }

  type Receiver = { endpoint: Endpoint | null; to: string }
  /** null: the endpoint was removed. */
  async function receiverOf({ tenant, endpoint: id, url }: Notification): Promise<Receiver | null> {
    if (id === null) return { endpoint: null, to: url ?? '' }
    const endpoint = await endpoints.read(tenant, id)
    return endpoint && { endpoint, to: endpoint.to }
  }

  /** The text to send, or why there is none. Rejects when it can be made later, or by another release: no attempt is counted. */
  async function contentOf(notification: Notification): Promise<string | SendResult> {
    try {
      return await dependencies.bodyOf(notification)
    } catch (error) {
      if (error instanceof NewerRecordError || isRedisTrouble(error)) throw error
      log.error(
        { err: error, notification: notification.id, job: notification.job },
        'cannot make what a notification sends',
      )
      const detail = isUnreadableRecord(error)
        ? 'The record of the job is damaged.'
        : 'The text to send could not be made.'
      return { status: null, error: 'no_content', detail, retryAfter: null, ofDestination: false }
    }
  }

  async function attempt(
    notification: Notification,
    { endpoint, to }: Receiver,
    at: number,
  ): Promise<SendResult | Postponed> {
    const transport = transports.get(endpoint?.kind ?? 'webhook')
    if (transport === undefined)
      return {
        status: null,
        error: 'failed',
        detail: 'This worker cannot send mail: SMTP_URL is not set.',
        retryAfter: null,
        ofDestination: false,
      }
    const body = await contentOf(notification)
    if (typeof body !== 'string') return body
    const message: Message = {
      notification,
      to,
      body,
      secrets: endpoint === null ? await secrets.read(notification.tenant) : endpoint.secrets,
      at,
    }
    return transport.send(message, stopping.signal)
  }

  /** Disables the endpoint, or gives up what waits for the destination of an own webhook. */
  async function end({ tenant, endpoint, destination }: Notification, reason: 'gone' | 'failing', at: number) {
    if (endpoint === null) {
      await store.abandon(tenant, destination, 'failing_too_long')
      return
    }
    const changed = await endpoints.change(tenant, endpoint, (one) =>
      one.disabled === null ? { ...one, disabled: { at, reason } } : one,
    )
    if (changed === null) return
    log.warn({ tenant, endpoint, reason }, 'an endpoint was disabled')
    await settleDisabled(changed)
  }

  /**
   * What follows from a disabled endpoint, each time that something is taken for it: a process may have died after it disabled
   * the endpoint, so the notice is owed again, under the same id.
   */
  async function settleDisabled({ id, tenant, disabled }: Endpoint): Promise<void> {
    if (disabled !== null && disabled.reason !== 'owner')
      await notices.owe(tenant, {
        v: 1,
        id: noticeIdOf(disabled.at, id),
        type: 'endpoint.disabled',
        endpoint: id,
        reason: disabled.reason,
        detail: DETAILS[disabled.reason],
      })
    await store.hold(tenant, id)
    // Its owner may have enabled or removed it at the same time.
    const now = await endpoints.read(tenant, id)
    if (now === null) await store.abandon(tenant, id, 'endpoint_removed')
    else if (now.disabled === null) await store.resume(tenant, id)
  }

  async function untilIdle(): Promise<void> {
    while (inFlight.size > 0) await Promise.allSettled(inFlight)
  }

  return {
    wake,
    async stop() {
      isStopped = true
      const timer = setTimeout(() => stopping.abort(new Error('the worker is stopping')), ABORT_AFTER * stopWithin)
      try {
        await withDeadline(untilIdle(), stopWithin, 'sending')
      } catch (error) {
        log.warn({ err: error, attempts: inFlight.size }, 'stopped without the end of attempts; they are sent again')
      } finally {
        clearTimeout(timer)
      }
    },
  }
}

const scaled = (ms: number | null, by: number): number | null => (ms === null ? null : Math.round(ms * by))

const well = (now: number): DestinationHealth => ({
  failures: 0,
  failing_since: null,
  paused_until: null,
  succeeded_at: now,
})
const failed = (health: DestinationHealth, now: number): DestinationHealth => ({
  ...health,
  failures: health.failures + 1,
  failing_since: health.failing_since ?? now,
})
