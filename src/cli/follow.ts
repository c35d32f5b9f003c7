import type { Client, LinkOptions } from '../client/client.ts'
import type { Batch, Job } from '../client/types.ts'
import { Interrupted } from './failures.ts'
import { bar, createLiveLines } from './live-lines.ts'
import { writeLine, type Screen } from './terminal.ts'
import { batchLine, labelOf, percent, span, stateOf } from './format.ts'

/** Progress display while jobs run; off with `json`. */

const TICK_MS = 250

/** Runs `work` until it ends, or rejects with `hint` at Ctrl-C; submitted jobs continue. */
export async function interruptible<T>(hint: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const leaving = new AbortController()
  const leave = (): void => leaving.abort(new Interrupted(hint))
  process.once('SIGINT', leave)
  try {
    return await work(leaving.signal)
  } finally {
    process.off('SIGINT', leave)
  }
}

export const stillRunning = (id: string): string => `${id} continues. Watch it: genqueue watch ${id}`

/** Redraws lines while `work` runs, so that times advance without news. */
async function animated<T>(screen: Screen, lines: () => string[], work: () => Promise<T>): Promise<T> {
  const live = createLiveLines(screen)
  const draw = (): void => live.show(lines())
  const ticking = setInterval(draw, TICK_MS)
  try {
    return await work()
  } finally {
    clearInterval(ticking)
    draw()
    live.end()
  }
}

/** Prints each new line once. */
function announcer(screen: Screen): (line: string) => void {
  let last = ''
  return (line) => {
    if (line !== last) writeLine(screen, line)
    last = line
  }
}

export interface FollowOptions {
  screen: Screen
  signal: AbortSignal
  json: boolean
}

/** The job once it is final, with a bar on a terminal and a line for each change elsewhere. */
export async function followJob(
  client: Client,
  first: Job,
  { screen, signal, json }: FollowOptions,
  onJob: (job: Job) => void = () => undefined,
): Promise<Job> {
  const began = Date.now()
  let job = first
  const follow = (onChange: () => void): Promise<Job> =>
    client.wait(first.id, {
      signal,
      onUpdate: (news) => {
        job = news
        onJob(news)
        onChange()
      },
    })
  if (json) return follow(() => undefined)
  if (!screen.isTTY) {
    const say = announcer(screen)
    return follow(() => say(`${job.id}  ${stateOf(job)}`))
  }
  const line = (): string[] => {
    const seconds = (Date.now() - began) / 1000
    return [`${labelOf(job)}  ${bar(shareOf(job), seconds)}  ${stateOf(job)}  ${span(seconds)}`]
  }
  return animated(screen, line, () => follow(() => undefined))
}

/** null: unknown, such as the time that copying takes. */
const shareOf = ({ status, phase, progress }: Job): number | null =>
  status === 'succeeded' ? 1 : status === 'queued' ? 0 : phase === 'storing' ? null : progress

/** The batch once it has completed, with a table of its jobs on a terminal and a line for each change elsewhere. */
export async function followBatch(
  client: Client,
  first: Batch,
  { screen, signal, json }: FollowOptions,
  onBatch: (batch: Batch) => void = () => undefined,
): Promise<Batch> {
  const began = Date.now()
  let batch = first
  const follow = (onChange: () => void): Promise<Batch> =>
    client.waitBatch(first.id, {
      signal,
      onUpdate: (news) => {
        batch = news
        onBatch(news)
        onChange()
      },
    })
  if (json) return follow(() => undefined)
  if (!screen.isTTY) {
    const say = announcer(screen)
    return follow(() => say(`${batch.id}  ${batchLine(batch)}`))
  }
  const jobs = new Map<number, Job>()
  const stop = keepJobs(client, first.id, jobs)
  try {
    return await animated(
      screen,
      () => batchTable(batch, [...jobs.values()], (Date.now() - began) / 1000, (screen.rows ?? 24) - 4),
      () => follow(() => undefined),
    )
  } finally {
    stop()
  }
}

/** Jobs of a batch by position, kept up to date. */
function keepJobs(client: Client, id: string, jobs: Map<number, Job>): () => void {
  const keep = (job: Job): void => {
    if (job.batch !== id || job.position === null) return
    if (job.rev >= (jobs.get(job.position)?.rev ?? 0)) jobs.set(job.position, job)
  }
  // The table is optional; without the jobs the line of the batch remains.
  const read = (): void =>
    void everyJob(client, id).then(
      (all) => all.forEach(keep),
      () => undefined,
    )
  return client.changes({ onJob: keep, onReset: read, onState: (state) => void (state === 'open' && read()) }).close
}

/** All jobs of a batch, by position. */
export async function everyJob(client: Client, id: string, links: LinkOptions = {}): Promise<Job[]> {
  const jobs: Job[] = []
  for await (const job of client.batchJobs(id, { ...links, limit: 100 })) jobs.push(job)
  return jobs
}

/** The batch in one line, and `rows` of its jobs, starting with the first unfinished one. */
export function batchTable(batch: Batch, jobs: readonly Job[], seconds: number, rows: number): string[] {
  const inOrder = jobs.toSorted((a, b) => (a.position ?? 0) - (b.position ?? 0))
  const live = inOrder.findIndex(({ completed_at }) => completed_at === null)
  const from = Math.max(0, Math.min(live === -1 ? inOrder.length : live, inOrder.length - rows))
  const lines = inOrder.slice(from, from + rows).map((job) => {
    const place = String((job.position ?? 0) + 1).padStart(String(batch.counts.total).length)
    return `  ${place}  ${bar(shareOf(job), seconds, 12)}  ${stateOf(job)}  ${labelOf(job)}`
  })
  const more = inOrder.length - lines.length
  const left =
    batch.estimated_end_at === null
      ? ''
      : `, about ${span((Date.parse(batch.estimated_end_at) - Date.now()) / 1000)} left`
  return [
    `${batch.id}  ${bar(batch.progress, seconds)}  ${percent(batch.progress)}  ${span(seconds)}${left}`,
    ...lines,
    ...(more > 0 ? [`  and ${more} more`] : []),
    batchLine(batch),
  ]
}
