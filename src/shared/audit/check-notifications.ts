import { z } from 'zod'
import type { JobKeys } from '../jobs/record/job-keys.ts'
import { countedTypes } from '../notifications/rules/endpoint.ts'
import type { AuditSource, KeyNames } from './audit-source.ts'
import { problem, type Command, type Problem } from './rules/finding.ts'

/** Checks that the events which endpoints hear of are owed, and that what is owed to a receiver gets there. */

interface NotificationOptions {
  source: Pick<AuditSource, 'subscribers' | 'waiting' | 'now'>
  keys: JobKeys
}

const known = z.object({ v: z.literal(1), events: z.array(z.string()) })

export async function checkNotifications(
  { subscribers, destinations }: Pick<KeyNames, 'subscribers' | 'destinations'>,
  options: NotificationOptions,
): Promise<Problem[]> {
  const problems: Problem[] = []
  for (const tenant of subscribers) problems.push(...(await checkSubscribers(tenant, options)))
  for (const destination of destinations) problems.push(...(await checkDestination(destination, options)))
  return problems
}

/** Compares the counts of a tenant by which commits decide whether an event is owed with a recount of its endpoints. */
async function checkSubscribers(tenant: string, { source, keys }: NotificationOptions): Promise<Problem[]> {
  const { endpoints, counts, seen } = await source.subscribers(tenant)
  const recount = new Map<string, number>()
  for (const [id, text] of Object.entries(endpoints)) {
    const events = eventsOf(text)
    // Of an endpoint that cannot be read, nobody knows what it counts.
    if (events === 'newer') return []
    if (events === 'damaged') return [problem('record_readable', id, `an endpoint of ${tenant} is damaged`)]
    for (const type of countedTypes(events)) recount.set(type, (recount.get(type) ?? 0) + 1)
  }
  const types = new Set([...recount.keys(), ...Object.keys(counts)])
  // A type that nobody hears of has no count.
  const wrong = [...types].sort().filter((type) => counts[type] !== recount.get(type)?.toString())
  if (wrong.length === 0) return []
  const key = keys.subscribed(tenant)
  const fix = wrong.map((type): Command => {
    const right = recount.get(type)
    return right === undefined ? ['hdel', key, type] : ['hset', key, type, String(right)]
  })
  const details = wrong.map(
    (type) => `${type}: the count says ${counts[type] ?? 0}, the endpoints say ${recount.get(type) ?? 0}`,
  )
  return [problem('subscribed_counted', tenant, details.join('; '), fix, { subscribers: tenant, seen })]
}

function eventsOf(text: string): string[] | 'newer' | 'damaged' {
  try {
    const value: unknown = JSON.parse(text)
    const found = known.safeParse(value)
    if (found.success) return found.data.events
    return z.object({ v: z.number().min(2) }).safeParse(value).success ? 'newer' : 'damaged'
  } catch {
    return 'damaged'
  }
}

async function checkDestination(destination: string, { source, keys }: NotificationOptions): Promise<Problem[]> {
  const [waiting, isServed] = await source.waiting(destination)
  if (waiting === 0 || isServed) return []
  const fix: Command = ['zadd', keys.destinations, 'NX', String(await source.now()), destination]
  return [problem('due', destination, `${waiting} notifications wait for it, but it is in no order`, [fix])]
}
