import type { NotificationQuery, NotificationStore } from './ports.ts'
import type { NotificationState } from './rules/notification.ts'

/** Notifications of one request; a caller repeats the request for more. */
export const MOST_REDELIVERED = 1000
const PAGE = 100

export interface Redelivered {
  redelivered: number
  /** Whether the limit of one request was reached. */
  more: boolean
}

/**
 * Sends all notifications of these states again that meet the query; those whose endpoint is gone or disabled stay as they are.
 * Repeating it does no harm: what waits to be sent again is in another state.
 */
export async function redeliverAll(
  store: Pick<NotificationStore, 'list' | 'redeliver'>,
  tenant: string,
  query: Omit<NotificationQuery, 'state' | 'before' | 'limit'>,
  states: readonly NotificationState[],
): Promise<Redelivered> {
  let redelivered = 0
  for (const state of states) {
    let before: string | undefined
    do {
      const { notifications, last } = await store.list(tenant, { ...query, state, before, limit: PAGE })
      for (const { id } of notifications) {
        if (redelivered === MOST_REDELIVERED) return { redelivered, more: true }
        if (await store.redeliver(tenant, id)) redelivered++
      }
      before = last ?? undefined
    } while (before !== undefined)
  }
  return { redelivered, more: false }
}
