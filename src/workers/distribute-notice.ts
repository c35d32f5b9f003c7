import { decodeTime } from 'ulid'
import type { BatchStore } from '../shared/batches/ports.ts'
import type { BatchRecord } from '../shared/batches/rules/batch.ts'
import type { BudgetStore, CreditStore } from '../shared/credits/ports.ts'
import { budgetView } from '../shared/credits/rules/budget-view.ts'
import { periodFrom } from '../shared/credits/rules/period.ts'
import { levelReached } from '../shared/credits/rules/spending-budget.ts'
import { accountView } from '../shared/credits/rules/credit-view.ts'
import type { JobLoader } from '../shared/jobs/ports.ts'
import { effectKey, type JobRecord } from '../shared/jobs/rules/job.ts'
import type { EndpointStore, NoticeStore, NotificationStore } from '../shared/notifications/ports.ts'
import { ANNOUNCED_TYPES, type OwedType } from '../shared/notifications/rules/event-types.ts'
import type { TenantNotice } from '../shared/notifications/rules/notice.ts'
import { jobData } from '../shared/notifications/rules/payload.ts'
import { receiversOf, type Happened } from '../shared/notifications/rules/receivers.ts'
import type { JsonObject } from '../shared/values/json.ts'

export interface DistributeDependencies {
  jobs: JobLoader
  batches: Pick<BatchStore, 'read'>
  credits: Pick<CreditStore, 'account'>
  budgets: Pick<BudgetStore, 'read' | 'counts'>
  endpoints: Pick<EndpointStore, 'read' | 'list'>
  notices: Pick<NoticeStore, 'owed' | 'announce' | 'distributed' | 'distributedOf'>
  store: Pick<NotificationStore, 'add' | 'resume' | 'abandon'>
  batchView: (batch: BatchRecord) => JsonObject
  /** What is sent in Replicate's form once the record of the job is gone. */
  lastPrediction: (job: JobRecord) => JsonObject
  /** Notifications are due. */
  wake: () => void
}

interface Event extends Happened {
  type: OwedType
  /** The id of the notice. */
  id: string
  about: { job: string | null; batch: string | null }
  data: JsonObject
  /** Of a receiver in Replicate's form. */
  prediction?: JsonObject
}

/**
 * Makes one notification for each receiver of a notice, announces it to those that follow the events of the tenant, then
 * removes the notice; doing it again changes nothing.
 */
export function createDistributeNotice(dependencies: DistributeDependencies) {
  const { jobs, batches, credits, budgets, endpoints, notices, store, batchView, lastPrediction, wake } = dependencies

  async function distribute(event: Event): Promise<void> {
    const { id, tenant, type, about, data, prediction } = event
    const at = decodeTime(id)
    const receivers = receiversOf(event, await endpoints.list(tenant))
    for (const { name, endpoint, destination, url, shape, isHeld } of receivers) {
      const stored = await store.add({
        id: `ntf_${id}_${name}`,
        tenant,
        type,
        endpoint,
        destination,
        url,
        shape,
        ...about,
        data: shape === 'replicate' && prediction ? prediction : data,
        created_at: at,
        state: isHeld ? 'held' : 'pending',
      })
      if (stored !== 'held' || endpoint === null) continue
      // Its owner may have enabled or removed it since the list was read.
      const now = await endpoints.read(tenant, endpoint)
      if (now === null) await store.abandon(tenant, endpoint, 'endpoint_removed')
      else if (now.disabled === null) await store.resume(tenant, endpoint)
    }
    if (receivers.length > 0) wake()
    const announced = ANNOUNCED_TYPES.find((one) => one === type)
    if (announced !== undefined) await notices.announce(tenant, { id, type: announced, at, data })
  }

  async function creditsOf(tenant: string, more: JsonObject): Promise<JsonObject> {
    return { credits: { ...accountView(tenant, await credits.account(tenant)), ...more } }
  }

  /** null: the budget was removed. */
  async function budgetAlert({
    budget: id,
    period: name,
    subject,
  }: Extract<TenantNotice, { type: 'budget.alert' }>): Promise<JsonObject | null> {
    const budget = await budgets.read(id)
    if (budget === null) return null
    const counts = await budgets.counts(id, name)
    const own = { ...counts, used: new Map([['', counts.used.get(subject) ?? 0]]) }
    const { users: _users, ...view } = budgetView(
      subject === '' ? budget : { ...budget, user: subject },
      periodFrom(budget.period, budget.time_zone, name),
      own,
    )
    return { budget: { ...view, level: levelReached(budget, counts.alerted.get(subject) ?? 0) } }
  }

  async function contentOf(
    tenant: string,
    notice: TenantNotice,
  ): Promise<Pick<Event, 'about' | 'data' | 'webhook' | 'except'> | null> {
    const about = { job: null, batch: null }
    switch (notice.type) {
      case 'batch.finished': {
        const batch = await batches.read(notice.batch)
        if (batch === null) return null
        return {
          about: { job: null, batch: batch.id },
          data: { batch: batchView(batch) },
          webhook: batch.webhook,
        }
      }
      case 'credits.low':
        return { about, data: await creditsOf(tenant, {}), webhook: null }
      case 'credits.exhausted':
        return { about, data: await creditsOf(tenant, { missing: notice.missing }), webhook: null }
      case 'budget.alert': {
        const data = await budgetAlert(notice)
        return data && { about, data, webhook: null }
      }
      case 'endpoint.disabled': {
        const { endpoint, reason, detail } = notice
        return { about, data: { endpoint: { id: endpoint, reason, detail } }, webhook: null, except: endpoint }
      }
    }
  }

  return {
    /** `key`: that of the row of the job's outbox. */
    async ofJob(id: string, key: string): Promise<void> {
      const { state } = await jobs.load(id)
      const notice = state?.effects.find((one) => effectKey(one) === key)
      if (!state || notice?.kind !== 'notice') return
      const { job } = state
      await distribute({
        id: notice.id,
        type: notice.type,
        tenant: job.tenant,
        job,
        webhook: job.webhook,
        about: { job: id, batch: job.batch },
        data: jobData(job),
        prediction: lastPrediction(job),
      })
      await notices.distributedOf(id, notice.id)
    },

    async ofTenant(tenant: string, id: string): Promise<void> {
      const notice = await notices.owed(tenant, id)
      if (notice === null) return
      const content = await contentOf(tenant, notice)
      if (content !== null) await distribute({ id, type: notice.type, tenant, job: null, ...content })
      await notices.distributed(tenant, id)
    },
  }
}
