import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { createDiskArtifactStore } from '../../src/shared/artifacts/disk-artifact-store.ts'
import { auditDeployment, simulatorBooks } from '../support/audit.ts'
import { isFinal, PHASES, type JobState } from '../../src/shared/jobs/rules/job.ts'
import { decodeAttempts, decodeEffects, decodeHistory, decodeJob } from '../../src/shared/jobs/record/record-codec.ts'
import type { Books } from '../support/simulator-admin.ts'
import type { ChaosFleet } from './fleet.ts'
import { judgeBatches, judgeMoney } from './judge-shares.ts'
import type { Order } from './load.ts'

/** What must be true when everything has come to rest (docs/design.md, the invariants), and what was found instead. */

const ACCOUNT = 'default'

/** Upstream's side of one prediction. */
interface Made {
  id: string
  job: string
  attempt: number
  status: string
  created: number
  /** ms; Infinity while it runs */
  ended: number
}

export interface Verdict {
  violations: string[]
  jobs: number
  batches: number
  /** Orders that heard a 402. */
  refused: number
  phases: Record<string, number>
  /** Predictions beyond the one of each attempt, or two that lived at once; counted by the service or not. */
  duplicates: number
  /** Orders whose accepted job is not there. */
  losses: number
  /** Jobs of orders without a key that nobody knows, because the answer was lost on its way. */
  surplus: { jobs: number; front: number }
  orphans: number
  attempts: number
  /** ms from accept to final */
  longestOpen: number
}

const flat = (fields: Record<string, string>): string[] => Object.entries(fields).flat()

/** Every job of the deployment, straight from Redis. */
export async function readAll({ inspect, keys }: ChaosFleet): Promise<JobState[]> {
  const ids: string[] = []
  let cursor = '0'
  do {
    const [next, names] = await inspect.scan(cursor, 'MATCH', `${keys.job('job_')}*`, 'COUNT', 1000)
    cursor = next
    ids.push(...names.map((name) => name.slice(keys.job('').length)).filter((id) => !id.includes(':')))
  } while (cursor !== '0')
  const states: JobState[] = []
  for (const id of [...new Set(ids)].sort()) {
    const [hash, documents, effects] = await Promise.all([
      inspect.hgetall(keys.job(id)),
      inspect.mget(keys.documents(id)),
      inspect.hgetall(keys.outbox(id)),
    ])
    const record = decodeJob({ id, hash: flat(hash), documents })
    if (record)
      states.push({ job: record, attempts: decodeAttempts(flat(hash)), effects: decodeEffects(flat(effects)) })
  }
  return states
}

const historyOf = async ({ inspect, keys }: ChaosFleet, id: string): Promise<ReturnType<typeof decodeHistory>> =>
  decodeHistory(flat(await inspect.hgetall(keys.job(id))))

/** Records and histories of jobs as text, for the message of a failure. */
export async function describeJobs(fleet: ChaosFleet, states: JobState[]): Promise<string> {
  const { inspect, keys } = fleet
  const descriptions = await Promise.all(
    states.map(async (state) => {
      const due = await inspect.zrangebyscore(keys.due, '-inf', '+inf', 'WITHSCORES')
      const mine = due.flatMap((member, i) => (member.includes(state.job.id) ? [`${member} at ${due[i + 1]}`] : []))
      const history = await historyOf(fleet, state.job.id)
      const { input: _input, ...job } = state.job
      return [
        JSON.stringify(job),
        ...state.attempts.map((one) => JSON.stringify(one)),
        ...state.effects.map((one) => `owes ${JSON.stringify(one)}`),
        ...mine,
        ...history.map(({ at, entry }) => `${new Date(at).toISOString()} ${JSON.stringify(entry)}`),
      ].join('\n    ')
    }),
  )
  return descriptions.join('\n  ')
}

async function predictionsOf({ simulator }: ChaosFleet): Promise<Made[]> {
  const made: Made[] = []
  let url: string | null = `${simulator.url}/v1/predictions`
  while (url !== null) {
    const response = await fetch(url, { headers: { authorization: 'Bearer test' } })
    const page = (await response.json()) as {
      next: string | null
      results: { id: string; webhook?: string; status: string; created_at: string; completed_at: string | null }[]
    }
    for (const { id, webhook, status, created_at, completed_at } of page.results) {
      const query = new URL(webhook ?? 'http://nobody').searchParams
      made.push({
        id,
        job: query.get('job') ?? '',
        attempt: Number(query.get('attempt')),
        status,
        created: Date.parse(created_at),
        ended: completed_at === null ? Number.POSITIVE_INFINITY : Date.parse(completed_at),
      })
    }
    url = page.next
  }
  return made
}

function judgePredictions(states: JobState[], made: Made[], books: Books, lateJobs: Set<string>, complain: Complain) {
  const byJob = new Map<string, Made[]>()
  for (const one of made) byJob.set(one.job, [...(byJob.get(one.job) ?? []), one])
  const known = new Map(states.map((state) => [state.job.id, state]))
  let duplicates = 0
  if (made.length !== books.counts.created)
    complain(`the books count ${books.counts.created} creates and list ${made.length} predictions`)
  for (const [job, mine] of byJob) {
    const state = known.get(job)
    if (!state) {
      complain(`${mine.length} predictions carry ${job || 'no job'}, which is not known`)
      continue
    }
    const orphans = new Set(state.attempts.flatMap((attempt) => attempt.orphans))
    for (const one of mine) {
      const attempt = state.attempts.find(({ n }) => n === one.attempt)
      if (attempt?.prediction_id !== one.id && !orphans.has(one.id))
        complain(`${job}: prediction ${one.id} of attempt ${one.attempt} belongs to no attempt and is not counted`)
      if (one.ended === Number.POSITIVE_INFINITY && isFinal(state.job.phase))
        complain(`${job} is ${state.job.phase} and its prediction ${one.id} still runs`)
      const { length } = mine.filter((other) => other.attempt === one.attempt)
      if (length > 1 && one === mine.find((other) => other.attempt === one.attempt)) {
        duplicates += length - 1
        complain(`${job}: attempt ${one.attempt} made ${length} predictions`)
      }
    }
    const inOrder = [...mine].sort((a, b) => a.created - b.created)
    for (const [i, one] of inOrder.entries()) {
      const next = inOrder[i + 1]
      if (!next || one.ended <= next.created) continue
      duplicates += 1
      if (!orphans.has(one.id) && !orphans.has(next.id) && !lateJobs.has(job))
        complain(`${job}: ${one.id} and ${next.id} lived at the same time`)
    }
    const succeeded = mine.filter(({ status, id }) => status === 'succeeded' && !orphans.has(id))
    if (succeeded.length > 1 && !lateJobs.has(job))
      complain(`${job} has ${succeeded.length} succeeded predictions: ${succeeded.map(({ id }) => id).join(', ')}`)
    if (
      state.job.phase === 'succeeded' &&
      !mine.some(({ id, status }) => id === state.job.prediction_id && status === 'succeeded')
    )
      complain(`${job} is succeeded and its prediction ${state.job.prediction_id} is not`)
  }
  for (const { job } of states)
    if (job.phase === 'succeeded' && !byJob.has(job.id)) complain(`${job.id} is succeeded without a prediction`)
  return duplicates
}

export type Complain = (violation: string) => void

async function judgeIndexes(
  { inspect, keys, customers }: ChaosFleet,
  states: JobState[],
  complain: Complain,
): Promise<void> {
  const phases = await inspect.hgetall(keys.phases)
  for (const phase of PHASES) {
    const counted = states.filter(({ job }) => job.phase === phase).length
    if (Number(phases[phase] ?? 0) !== counted) complain(`phases.${phase} says ${phases[phase]}, there are ${counted}`)
  }
  const [due, unknown, open, storing] = await Promise.all([
    inspect.zrange(keys.due, '0', '-1'),
    inspect.zrange(keys.unknown(ACCOUNT), '0', '-1'),
    inspect.smembers(keys.open(ACCOUNT)),
    inspect.zrange(keys.storing, '0', '-1'),
  ])
  for (const [name, members] of Object.entries({ due, unknown, open, storing }))
    if (members.length > 0) complain(`${name} still holds ${members.slice(0, 5).join(', ')} (${members.length})`)
  for (const { tenant } of customers) {
    const [listed, mine] = [
      await inspect.zcard(keys.tenantJobs(tenant)),
      states.filter(({ job }) => job.tenant === tenant),
    ]
    if (listed !== mine.length) complain(`the list of ${tenant} has ${listed} jobs, there are ${mine.length}`)
  }
  for (const { job, attempts, effects } of states) {
    if (!isFinal(job.phase)) complain(`${job.id} is ${job.phase}`)
    if (isFinal(job.phase) !== (job.completed_at !== null))
      complain(`${job.id}: completed_at does not fit ${job.phase}`)
    if (effects.length > 0) complain(`${job.id} owes ${effects.length} effects`)
    for (const { n, state } of attempts) if (state !== 'closed') complain(`${job.id}: attempt ${n} is ${state}`)
  }
}

/** The intents by Redis' clock, against limit and burst in every window. */
function judgeBudget({ creates }: ChaosFleet, states: JobState[], complain: Complain): void {
  const times = states.flatMap(({ attempts }) => attempts.map(({ intended_at }) => intended_at)).sort((a, b) => a - b)
  const perMs = creates.perMinute / 60_000
  let least = Number.POSITIVE_INFINITY
  for (const [i, at] of times.entries()) {
    least = Math.min(least, i - at * perMs)
    const over = i - at * perMs - least + 1
    // One more: the times are whole milliseconds.
    if (over > creates.burst + 1 + perMs) return complain(`${over.toFixed(1)} creates at once, ${creates.burst} may`)
  }
}

function judgeOrders(orders: Order[], states: JobState[], complain: Complain): Pick<Verdict, 'losses' | 'surplus'> {
  const known = new Set(states.flatMap(({ job }) => (job.batch === null ? [job.id] : [job.id, job.batch])))
  const byOrder = new Map<string, string[]>()
  for (const { job } of states) {
    const name = String(job.metadata['order'])
    byOrder.set(name, [...(byOrder.get(name) ?? []), job.id])
  }
  let losses = 0
  const surplus = { jobs: 0, front: 0 }
  for (const { name, keyed, byFront, ids, refused, batchOf } of orders) {
    const missing = [...ids].filter((id) => !known.has(id))
    losses += missing.length
    if (missing.length > 0) complain(`${name}: ${missing.join(', ')} was accepted and is not there`)
    if (ids.size === 0 && !refused) complain(`${name} was never answered`)
    const made = byOrder.get(name) ?? []
    const size = batchOf ?? 1
    if (made.length % size !== 0) complain(`${name}: of a batch of ${size} there are ${made.length} jobs`)
    if (keyed && (ids.size > 1 || made.length > size))
      complain(`${name}: one key, answered ${[...ids].join(', ')}, made ${made.join(', ')}`)
    if (!keyed && batchOf === null) surplus[byFront ? 'front' : 'jobs'] += made.length - ids.size
    byOrder.delete(name)
  }
  for (const [name, made] of byOrder) complain(`no client ordered ${made.join(', ')} (${name})`)
  return { losses, surplus }
}

/** Each artifact as a customer gets it, against what its job says of it. */
async function judgeArtifacts(
  { apiUrl, customers }: ChaosFleet,
  states: JobState[],
  complain: Complain,
): Promise<void> {
  const keys = new Map(customers.map(({ tenant, key }) => [tenant, key]))
  const queue = states.flatMap(({ job }) =>
    job.phase === 'succeeded' ? job.artifacts.map((one) => ({ job, one })) : [],
  )
  const reader = async (): Promise<void> => {
    for (let next = queue.pop(); next; next = queue.pop()) {
      const { job, one } = next
      const response = await fetch(`${apiUrl}/v1/artifacts/${one.id}`, {
        headers: { authorization: `Bearer ${keys.get(job.tenant)}` },
      })
      const body = Buffer.from(await response.arrayBuffer())
      const sha256 = createHash('sha256').update(body).digest('hex')
      if (response.status !== 200 || body.length !== one.bytes || sha256 !== one.sha256)
        complain(
          `${job.id}: ${one.id} answers ${response.status} with ${body.length} bytes, ${one.bytes} were recorded`,
        )
    }
  }
  await Promise.all(Array.from({ length: 8 }, reader))
  for (const { job } of states)
    if (job.phase === 'succeeded' && job.model !== null && job.artifacts.length === 0)
      complain(`${job.id} is succeeded without its picture`)
}

/** What the service's own auditor finds, upstream's list and the stored files included. */
async function audit({ inspect, keys, simulator, dataDir, timings, creates }: ChaosFleet): Promise<string[]> {
  const findings = await auditDeployment({
    redis: inspect,
    keys,
    timings,
    upstream: await simulatorBooks({ redis: inspect, keys, simulator: { apiUrl: `${simulator.url}/v1` } }),
    artifacts: createDiskArtifactStore(join(dataDir, 'artifacts')),
    creates,
    quiescent: true,
  })
  return findings.map((finding) => `the audit found ${JSON.stringify(finding)}`)
}

/** Every violation of the promises that can be seen from outside, once nothing moves any more. */
export async function judge(fleet: ChaosFleet, orders: Order[]): Promise<Verdict> {
  const violations: string[] = []
  const complain: Complain = (violation) => void violations.push(violation)
  const states = await readAll(fleet)
  const [made, books] = [await predictionsOf(fleet), await fleet.simulator.books()]
  const lateJobs = new Set<string>()
  for (const { job, attempts } of states)
    if (attempts.length > 1 && (await historyOf(fleet, job.id)).some(({ entry }) => entry.note === 'late'))
      lateJobs.add(job.id)

  const { losses, surplus } = judgeOrders(orders, states, complain)
  const duplicates = judgePredictions(states, made, books, lateJobs, complain)
  await judgeIndexes(fleet, states, complain)
  judgeBudget(fleet, states, complain)
  await judgeArtifacts(fleet, states, complain)
  const batches = await judgeBatches(fleet, states, complain)
  await judgeMoney(fleet, states, complain)
  violations.push(...(await audit(fleet)))
  const orphans = Number((await fleet.inspect.hget(fleet.keys.counters, 'orphan_predictions')) ?? 0)
  const counted = states.reduce(
    (sum, { attempts }) => sum + attempts.reduce((n, { orphans }) => n + orphans.length, 0),
    0,
  )
  if (orphans < counted) complain(`${counted} orphans are recorded, ${orphans} are counted`)
  return {
    violations,
    jobs: states.length,
    batches,
    refused: orders.filter(({ refused }) => refused).length,
    phases: Object.fromEntries(PHASES.map((phase) => [phase, states.filter(({ job }) => job.phase === phase).length])),
    duplicates,
    losses,
    surplus,
    orphans,
    attempts: states.reduce((sum, { attempts }) => sum + attempts.length, 0),
    longestOpen: Math.max(0, ...states.map(({ job }) => (job.completed_at ?? Date.now()) - job.created_at)),
  }
}
