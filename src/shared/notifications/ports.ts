import type { NotificationState, Notification, DeliveryAttempt } from './rules/notification.ts'
import type { Endpoint } from './rules/endpoint.ts'
import type { Announcement, JobNotice, TenantNotice } from './rules/notice.ts'
import type { JobRecord } from '../jobs/rules/job.ts'

/** The endpoints of tenants. */
export interface EndpointStore {
  /** false: the tenant has the most that it may have. */
  create(endpoint: Endpoint, most: number): Promise<boolean>
  read(tenant: string, id: string): Promise<Endpoint | null>
  /** Oldest first. */
  list(tenant: string): Promise<Endpoint[]>
  /** Writes the result of `change` of the endpoint as it is; null: there is none. `change` may run again after a race. */
  change(tenant: string, id: string, change: (endpoint: Endpoint) => Endpoint): Promise<Endpoint | null>
  /** What it still owes is over: those notifications have failed. */
  remove(tenant: string, id: string): Promise<boolean>
}

/** What is owed and not yet distributed to receivers (the outbox of a tenant; those of jobs are in their records). */
export interface NoticeStore {
  /** Owes an event, unless nobody hears of this type or follows the events of the tenant. Returns whether it is owed. */
  owe(tenant: string, notice: TenantNotice): Promise<boolean>
  /** null: it was distributed. */
  owed(tenant: string, id: string): Promise<TenantNotice | null>
  distributed(tenant: string, id: string): Promise<void>
  /** For programs that follow the events of the tenant now. */
  announce(tenant: string, announcement: Announcement): Promise<void>
  /** The row of a job's outbox is distributed. */
  distributedOf(job: string, id: string): Promise<void>
}

/** Owes events outside of commits, each once. Returns whether it is owed now: false if nobody hears of it, too. */
export interface SingleNotices {
  /** Once until the next grant. */
  oweExhausted(tenant: string, notice: TenantNotice): Promise<boolean>
  /** Once for each job and type. */
  oweOfJob(job: Pick<JobRecord, 'id' | 'tenant' | 'webhook'>, notice: JobNotice): Promise<boolean>
}

export interface NotificationQuery {
  endpoint?: string | undefined
  job?: string | undefined
  state?: NotificationState | undefined
  /** ms */
  created_after?: number | undefined
  created_before?: number | undefined
  /** Only older ones than this id. */
  before?: string | undefined
  limit: number
}

/** How a receiver does. Times: ms. */
export interface DestinationHealth {
  /** Failures since the last success. */
  failures: number
  /** First of them; null: the last attempt succeeded, or there was none. */
  failing_since: number | null
  /** Nothing is sent to it before; null: at once. */
  paused_until: number | null
  succeeded_at: number | null
}

/** What an attempt means. `next`: ms until the next one; null: there is none. */
export interface AttemptOutcome {
  state: NotificationState
  next: number | null
  /** What it shows of the destination; null: nothing. */
  destination: 'well' | 'failing' | null
  /** ms for which nothing else is sent to the destination; null: no pause. */
  pause: number | null
}

/** A notification that nothing was sent of yet. */
export type NewNotification = Omit<Notification, 'v' | 'state' | 'next_at' | 'tries' | 'rev' | 'attempts'> & {
  /** `held`: its endpoint is disabled. */
  state: 'pending' | 'held'
}

/** Upper bounds of the time from an event to the first attempt, s. */
export const FIRST_ATTEMPT_WITHIN = ['0.1', '1', '5', '60', '600', 'later'] as const

/** Figures for metrics. Ages: ms. */
export interface NotificationFigures {
  pending: number
  /** null: nothing is pending. */
  oldestPending: number | null
  held: number
  /** Endpoints that are disabled. */
  disabled: number
  /** Since when a destination waits to be served although nothing keeps it back. */
  late: number
  /** Attempts of all time by outcome. */
  sent: Record<'delivered' | 'failed' | 'retried', number>
  /** First attempts of all time by the time since their event. */
  firstAttempts: Record<(typeof FIRST_ATTEMPT_WITHIN)[number], number>
  /** Best-effort events of all time. */
  lossy: Record<'sent' | 'failed', number>
}

/** Notifications, and the order in which they are sent. */
export interface NotificationStore {
  /**
   * Once for each id; returns the state of the one that is stored. A notification that carries its job (`full`, `replicate`) keeps
   * payload and files of the job until it is over.
   */
  add(notification: NewNotification): Promise<NotificationState>
  /** Throws NewerRecordError for one that only a newer release can read; everything about many leaves those alone. */
  read(tenant: string, id: string): Promise<Notification | null>
  /** Newest first. `last`: the id after which to continue; null: there are no more. There may be more although fewer than `limit` are returned. */
  list(tenant: string, query: NotificationQuery): Promise<{ notifications: Notification[]; last: string | null }>
  /** Begins the schedule again; false: it is unknown, or cannot be sent because its endpoint is gone or disabled. */
  redeliver(tenant: string, id: string): Promise<boolean>
  /** Destinations for which something is due, those that waited longest first; they are not returned again for `leaseMs`. */
  claimDestinations(
    limit: number,
    leaseMs: number,
  ): Promise<{ destination: string; tenant: string; health: DestinationHealth }[]>
  /**
   * Due notifications of a destination, under a lease. `unreadable`: ids of due ones whose records this release cannot read; `more`:
   * further ones are due; `now`: ms, the clock of Redis.
   */
  take(
    destination: string,
    limit: number,
    leaseMs: number,
  ): Promise<{ notifications: Notification[]; unreadable: string[]; more: boolean; now: number }>
  /** Records the result of the attempt of the notification as it was taken; false: another result was recorded. */
  record(taken: Notification, attempt: DeliveryAttempt, outcome: AttemptOutcome): Promise<boolean>
  /** Makes the notification, and the others of its destination, due again after `ms`, without an attempt. */
  postpone(taken: Notification, ms: number): Promise<void>
  health(destination: string): Promise<DestinationHealth>
  /** Whether the progress of a job may be sent now: once in `everyMs`, over all processes. */
  mayProgress(job: string, everyMs: number): Promise<boolean>
  /** Counts a best-effort event. */
  countLossy(outcome: 'sent' | 'failed'): Promise<void>
  /** Makes what was held for an endpoint due again, and forgets its failures; or holds what is due. Returns the number. */
  resume(tenant: string, endpoint: string): Promise<number>
  hold(tenant: string, endpoint: string): Promise<number>
  /** What is pending or held for a destination has failed, as its last attempt shows with this code; its failures are forgotten. Returns the number. */
  abandon(tenant: string, destination: string, error: 'endpoint_removed' | 'failing_too_long'): Promise<number>
  /** Removes what is older than the log keeps; returns the number. */
  expire(limit: number): Promise<number>
  /** Whether a destination may be served now. */
  isDue(): Promise<boolean>
  /** For how long the destination that waits longest could have been served, ms. */
  lateBy(): Promise<number>
  figures(): Promise<NotificationFigures>
}
