import cluster from 'node:cluster'
import { AggregatorRegistry, type Registry } from 'prom-client'
import { ServiceError } from '../errors/service-error.ts'
import { withDeadline } from '../values/deadline.ts'

/**
 * A process of a group (process-group.ts): how it speaks to the one that started it. Without a group every function does
 * nothing.
 */

/** What a member says to its group. */
export type MemberMessage =
  /** It serves by now. */
  { kind: 'running'; url: string | null; healthUrl: string | null; webhooks: boolean } | { kind: 'metrics'; id: number }

/** What the group says to a member. `text`: the metrics of all members; null: a member did not answer. */
export interface GroupMessage {
  kind: 'group_metrics'
  id: number
  text: string | null
}

/** Above prom-client's five seconds for the answers of the members, ms. */
const METRICS_WITHIN_MS = 6_000
const RETRY_S = 5

/** Whether this process belongs to a group. */
export const isMember = (): boolean => cluster.isWorker

export function sayRunning({
  url,
  healthUrl,
  webhooks,
}: Omit<Extract<MemberMessage, { kind: 'running' }>, 'kind'>): void {
  if (isMember()) send({ kind: 'running', url, healthUrl, webhooks })
}

/** Fails silently when the group has ended: then this process ends too. */
function send(message: MemberMessage): void {
  process.send?.(message, undefined, undefined, () => undefined)
}

const asked = new Map<number, (text: string | null) => void>()
let isListening = false
let lastId = 0

function listen(): void {
  if (isListening) return
  isListening = true
  process.on('message', (message: Partial<GroupMessage> | null) => {
    if (message?.kind === 'group_metrics') asked.get(message.id ?? 0)?.(message.text ?? null)
  })
}

/**
 * Returns a function that renders the metrics of all members as Prometheus text, with those of `own`; null without a group.
 * Throws `unavailable` when a member does not answer: a sum without it would look like a restart.
 */
export function metricsOfGroup(own: Registry): (() => Promise<string>) | null {
  if (!isMember()) return null
  AggregatorRegistry.setRegistries(own)
  // Its constructor begins to answer the group.
  void new AggregatorRegistry()
  listen()
  return async () => {
    const id = ++lastId
    const { promise, resolve } = Promise.withResolvers<string | null>()
    asked.set(id, resolve)
    send({ kind: 'metrics', id })
    const text = await withDeadline(promise, METRICS_WITHIN_MS, 'metrics of the group').catch(() => null)
    asked.delete(id)
    if (text === null)
      throw new ServiceError('unavailable', 'A process of the group did not answer with its metrics.', {
        retryAfter: RETRY_S,
      })
    return text
  }
}
