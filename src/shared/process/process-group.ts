import cluster, { type Worker } from 'node:cluster'
import { AggregatorRegistry } from 'prom-client'
import { z } from 'zod'
import type { GroupMessage, MemberMessage } from './group-member.ts'
import type { Logger } from './logger.ts'

/** A group: equal processes of one role that share its port (node:cluster), so that one machine's cores are used. */

export type Serving = Omit<Extract<MemberMessage, { kind: 'running' }>, 'kind'>

export interface ProcessGroup {
  /** Resolves when all processes serve, besides those that ended and wait for a restart. Rejects when the first one ended. */
  running: Promise<Serving>
  /** Passes a signal on to every process. */
  signal(name: NodeJS.Signals): void
  /** Stops all processes as SIGTERM does, and waits for them. Rejects when one did not stop cleanly. */
  stop(): Promise<void>
}

/** Backoff of the restarts of one process, ms; a process that ran for `calm` begins with `first` again. */
export interface Restarts {
  first: number
  longest: number
  calm: number
}

const RESTARTS: Restarts = { first: 1_000, longest: 30_000, calm: 60_000 }

const messageSchema: z.ZodType<MemberMessage> = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('running'),
    url: z.string().nullable(),
    healthUrl: z.string().nullable(),
    webhooks: z.boolean(),
  }),
  z.object({ kind: z.literal('metrics'), id: z.number() }),
])

interface Member {
  process: Worker | null
  /** `performance.now()` of its last start. */
  since: number
  /** Wait before the next restart, ms. */
  wait: number
  timer?: NodeJS.Timeout
}

/**
 * Starts `size` processes that run this program again with the same arguments. The first one starts alone, so that wrong
 * settings are reported once. A process that ends is started again.
 */
export function startGroup({
  size,
  log,
  restarts = RESTARTS,
}: {
  size: number
  log: Logger
  restarts?: Restarts
}): ProcessGroup {
  const members = Array.from({ length: size }, (): Member => ({ process: null, since: 0, wait: restarts.first }))
  const metrics = new AggregatorRegistry()
  let isStopping = false

  /** Sends the figures of all processes to the one that asked. */
  async function answerMetrics(to: Worker, id: number): Promise<void> {
    const text = await metrics.clusterMetrics().catch((error: unknown) => {
      log.warn({ err: error }, 'a process of the group did not answer with its metrics')
      return null
    })
    const message: GroupMessage = { kind: 'group_metrics', id, text }
    if (to.isConnected()) to.send(message, () => undefined)
  }

  /** Resolves when the process serves; rejects when it ends before. */
  function start(member: Member): Promise<Serving> {
    const { promise, resolve, reject } = Promise.withResolvers<Serving>()
    const started = cluster.fork()
    member.process = started
    member.since = performance.now()
    started.on('message', (message: unknown) => {
      const { data } = messageSchema.safeParse(message)
      if (data?.kind === 'running') resolve(data)
      else if (data?.kind === 'metrics') void answerMetrics(started, data.id)
    })
    started.once('exit', (code: number | null, signal: string | null) => {
      member.process = null
      reject(new Error(`process ${started.process.pid} ended during the start (${signal ?? code})`))
    })
    return promise
  }

  /** Keeps a process running: starts it again each time it ends, unless the group stops. */
  function keep(member: Member): void {
    member.process?.once('exit', (code: number | null, signal: string | null) => restart(member, signal ?? code))
    if (member.process === null) restart(member, null)
  }

  function restart(member: Member, cause: string | number | null): void {
    if (isStopping) return
    if (performance.now() - member.since >= restarts.calm) member.wait = restarts.first
    log.error({ cause, wait_ms: member.wait }, 'a process of the group ended; it is started again')
    member.timer = setTimeout(() => {
      // Its end is seen by keep().
      start(member).catch(() => undefined)
      keep(member)
    }, member.wait)
    member.wait = Math.min(2 * member.wait, restarts.longest)
  }

  async function startAll(): Promise<Serving> {
    const [first, ...others] = members
    if (first === undefined) throw new Error('a group has at least one process')
    const serving = await start(first)
    keep(first)
    const rest = isStopping ? [] : others
    await Promise.all(
      rest.map(async (member) => {
        const started = start(member)
        keep(member)
        // One that ended is started again.
        await started.catch(() => undefined)
      }),
    )
    return serving
  }

  const live = (): Worker[] => members.flatMap(({ process }) => process ?? [])

  return {
    running: startAll(),
    signal(name) {
      for (const one of live()) one.process.kill(name)
    },
    async stop() {
      isStopping = true
      for (const { timer } of members) clearTimeout(timer)
      const ends = await Promise.all(
        live().map(
          (one) =>
            new Promise<boolean>((resolve) => {
              // Before it handles signals, a process ends by the signal itself.
              one.once('exit', (code: number | null, signal: string | null) =>
                resolve(code === 0 || signal === 'SIGTERM'),
              )
              one.process.kill('SIGTERM')
            }),
        ),
      )
      const unclean = ends.filter((isClean) => !isClean).length
      if (unclean > 0) throw new Error(`${unclean} of ${ends.length} processes did not stop cleanly`)
    },
  }
}
