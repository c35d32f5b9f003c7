import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { text } from 'node:stream/consumers'
import { Webhook } from 'standardwebhooks'
import { ulid } from 'ulid'
import type { Redis } from 'ioredis'
import type { JobKeys } from '../../src/shared/jobs/record/job-keys.ts'
import { isFinal, type JobState } from '../../src/shared/jobs/rules/job.ts'
import { createRedisEndpointStore } from '../../src/shared/notifications/redis-endpoint-store.ts'
import { createRedisNotificationStore } from '../../src/shared/notifications/redis-notification-store.ts'
import { makeSecret } from '../../src/shared/tenants/rules/signing-secret.ts'
import { waitFor } from '../support/wait-for.ts'
import type { Customer } from './customers.ts'
import { dice } from './seeded.ts'

/** The receiver of the customers' webhooks: slow, rude, at times stopped; and what it must have heard in the end. */
export interface RudeReceiver {
  /** It is polite from now on. Waits until everything was delivered that can be. */
  settle(within: number): Promise<void>
  /** Compares what arrived with the records. */
  judge(states: readonly JobState[]): Promise<string[]>
  counts(): Record<string, number>
  stop(): void
}

interface Arrival {
  id: string
  type: string
  job: { id: string; status: string; rev: number }
}

export async function startRudeReceiver(
  redis: Redis,
  keys: JobKeys,
  customers: readonly Customer[],
  seed: number,
): Promise<RudeReceiver> {
  const random = dice(seed, 'receiver')
  const complaints: string[] = []
  const arrivals: Arrival[] = []
  const counts: Record<string, number> = {}
  const count = (what: string): void => void (counts[what] = (counts[what] ?? 0) + 1)
  const secrets = new Map<string, string>()
  let isPolite = false
  /** Stopped: it takes connections, and answers nobody until then. */
  let stoppedUntil = 0

  async function answer(response: ServerResponse): Promise<void> {
    const mood = isPolite ? 1 : random.next()
    if (!isPolite && random.chance(0.01)) stoppedUntil = Date.now() + 2000
    if (!isPolite && Date.now() < stoppedUntil) return count('stopped')
    if (mood < 0.1) response.writeHead(500).end('no')
    else if (mood < 0.2) response.destroy()
    else if (mood < 0.25) response.writeHead(429, { 'retry-after': '1' }).end()
    else if (mood < 0.3) response.writeHead(301, { location: '/elsewhere' }).end()
    else {
      if (mood < 0.4) await delay(random.between(50, 1000))
      response.writeHead(204).end()
      return count('accepted')
    }
    count('refused')
  }

  const server = createServer((request, response) => {
    const take = async (): Promise<void> => {
      const body = await text(request)
      const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]))
      try {
        new Webhook(secrets.get(request.url ?? '') ?? '').verify(body, headers)
      } catch (error) {
        complaints.push(`a webhook was not authentic: ${String(error)}`)
      }
      const { type, data } = JSON.parse(body) as { type: string; data: { job: Arrival['job'] } }
      arrivals.push({ id: headers['webhook-id'] ?? '', type, job: data.job })
      await answer(response)
    }
    take().catch(() => undefined)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const endpoints = createRedisEndpointStore({ redis, keys })
  const store = createRedisNotificationStore({ redis, keys, endpoints })
  for (const { tenant } of customers) {
    const key = makeSecret()
    secrets.set(`/${tenant}`, key)
    await endpoints.create(
      {
        v: 1,
        id: `ep_${ulid()}`,
        tenant,
        kind: 'webhook',
        to: `http://127.0.0.1:${port}/${tenant}`,
        description: '',
        events: ['job.started', 'job.succeeded', 'job.failed', 'job.canceled'],
        presets: null,
        payload: 'thin',
        secrets: { current: { key, created_at: 0 }, previous: [] },
        confirmed_at: null,
        created_at: 0,
        disabled: null,
      },
      50,
    )
  }

  /** Makes everything that waits due now, so that nobody waits for the schedule. */
  async function hurry(): Promise<void> {
    for (const destination of await redis.zrange(keys.destinations, '0', '-1')) {
      const waiting = keys.waitingNotifications(destination)
      const now = String(Date.now())
      await redis.hdel(keys.destination(destination), 'paused_until')
      for (const id of await redis.zrange(waiting, '0', '-1')) await redis.zadd(waiting, 'XX', 'LT', now, id)
      await redis.zadd(keys.destinations, 'XX', 'LT', now, destination)
    }
  }

  return {
    async settle(within) {
      isPolite = true
      let left = Number.POSITIVE_INFINITY
      while (left > 0) {
        const before = left
        left = await waitFor(
          'further notifications to be delivered',
          async () => {
            await hurry()
            const now = await redis.zcard(keys.pendingNotifications)
            return now < before && { now }
          },
          { timeout: within, interval: 1000 },
        ).then(({ now }) => now)
      }
    },

    async judge(states) {
      const jobs = new Map(states.map(({ job }) => [job.id, job]))
      const byEvent = Map.groupBy(arrivals, ({ job, type }) => `${job.id} ${type}`)
      for (const [event, all] of byEvent) {
        const ids = new Set(all.map(({ id }) => id))
        if (ids.size > 1) complaints.push(`${event} arrived as ${[...ids].join(', ')}`)
      }
      for (const { type, job } of arrivals) {
        const record = jobs.get(job.id)
        if (record === undefined) complaints.push(`${job.id} ${type} arrived, and there is no such job`)
        else if (job.rev > record.rev)
          complaints.push(`${job.id} ${type} arrived with rev ${job.rev}, it has ${record.rev}`)
        else if (job.status !== 'processing' && job.status !== record.status)
          complaints.push(`${job.id} ${type} arrived as ${job.status}, it is ${record.status}`)
        if (type !== 'job.started' && type !== `job.${job.status}`)
          complaints.push(`${job.id} ${type} arrived as ${job.status}`)
      }
      for (const { job } of states) {
        if (!isFinal(job.phase) || byEvent.has(`${job.id} job.${job.status}`)) continue
        const { notifications } = await store.list(job.tenant, { job: job.id, limit: 10 })
        if (!notifications.some(({ type, state }) => type === `job.${job.status}` && state !== 'delivered'))
          complaints.push(`${job.id} is ${job.status}, nobody heard of it, and the log does not say so`)
      }
      return complaints
    },

    counts: () => ({ arrived: arrivals.length, ...counts }),

    stop() {
      server.closeAllConnections()
      server.close()
    },
  }
}
