import { randomUUID } from 'node:crypto'
import type { HealthCheck } from '../process/health.ts'
import type { Logger } from '../process/logger.ts'
import { withDeadline } from '../values/deadline.ts'
import {
  CONDITION_NAMES,
  CONDITIONS,
  CONSEQUENCES,
  type Condition,
  type ConditionBoard,
  type ConditionName,
  type Report,
} from './rules/condition.ts'

/** Conditions of this process and of its deployment. */
export interface Conditions {
  /** Begins a condition (`detail`: the observed cause) or ends it (null). Logs only the beginning and the end. */
  set(name: ConditionName, detail: string | null): void
  /** Whether this process reports it. */
  has(name: ConditionName): boolean
  /** Conditions that this process reports. */
  local(): Condition[]
  /** Conditions of all processes of the deployment; only those of this process when Redis does not respond. */
  all(): Promise<Condition[]>
  stop(): Promise<void>
}

interface Lasting {
  since: number
  detail: string
  /** False while it follows from another condition. */
  isLogged: boolean
}

/** An unresponsive Redis delays shutdown by at most this, ms */
const STOP_WITHIN_MS = 500

/**
 * Registry of one process. It repeats its reports every `repeatMs`, so that reports of a killed process become stale. A
 * healthy process writes nothing.
 */
export function createConditions(options: { board: ConditionBoard; repeatMs: number; log: Logger }): Conditions {
  const { board, repeatMs, log } = options
  const id = randomUUID()
  const lasting = new Map<ConditionName, Lasting>()
  let writing: Promise<void> | null = null
  let isChanged = false
  let isReported = false

  const reports = () => [...lasting].map(([name, { since, detail }]) => ({ name, since, detail }))

  async function write(): Promise<void> {
    do {
      isChanged = false
      const made = reports()
      await board.report(id, made)
      isReported = made.length > 0
    } while (isChanged)
  }

  /** One write at a time; a change during a write goes into the next one. A failed write is retried at the next interval. */
  function publish(): Promise<void> {
    isChanged = true
    writing ??= write()
      .catch((error: unknown) => log.debug({ err: error }, 'conditions could not be reported to Redis'))
      .finally(() => {
        writing = null
      })
    return writing
  }

  const timer = setInterval(() => {
    if (lasting.size > 0 || isReported) void publish()
  }, repeatMs)
  timer.unref()

  const isConsequence = (name: ConditionName): boolean =>
    CONDITION_NAMES.some((cause) => CONSEQUENCES[cause]?.includes(name) && lasting.has(cause))

  return {
    set(name, detail) {
      const before = lasting.get(name)
      if (detail === null) {
        if (!before) return
        lasting.delete(name)
        if (before.isLogged) log.info({ condition: name, for_ms: Date.now() - before.since }, CONDITIONS[name].ends)
        // A consequence that outlives its cause is found again by the next check.
        for (const one of CONSEQUENCES[name] ?? []) if (lasting.get(one)?.isLogged === false) lasting.delete(one)
      } else {
        if (before?.detail === detail) return
        const isLogged = before?.isLogged || !isConsequence(name)
        lasting.set(name, { since: before?.since ?? Date.now(), detail, isLogged })
        if (isLogged && !before?.isLogged)
          log[CONDITIONS[name].level]({ condition: name, detail }, CONDITIONS[name].begins)
      }
      void publish()
    },

    has: (name) => lasting.has(name),

    local: () => together(reports()),

    async all() {
      const others = await board.read().catch((error: unknown) => {
        log.debug({ err: error }, 'conditions of other processes could not be read')
        return []
      })
      return together([...others.filter(({ process }) => process !== id), ...reports()])
    },

    async stop() {
      clearInterval(timer)
      lasting.clear()
      if (!isReported && writing === null) return
      await withDeadline(publish(), STOP_WITHIN_MS, 'a report of conditions').catch(() => undefined)
    },
  }
}

/** Merges reports into one condition for each name, without those that follow from another one. */
const together = (reports: readonly Report[]): Condition[] => {
  if (reports.length === 0) return []
  const following = new Set(reports.flatMap(({ name }) => CONSEQUENCES[name] ?? []))
  return CONDITION_NAMES.flatMap((name) => {
    if (following.has(name)) return []
    const same = reports.filter((one) => one.name === name)
    const first = same.toSorted((a, b) => a.since - b.since)[0]
    return first ? [{ name, since: first.since, detail: first.detail, processes: same.length }] : []
  })
}

/** Health check: whether these conditions allow predictions to be created. */
export const creationCheck =
  (lasting: () => Promise<Condition[]> | Condition[]): HealthCheck =>
  async () => {
    const stopping = (await lasting()).filter(({ name }) => CONDITIONS[name].stopsCreation)
    return {
      ok: stopping.length === 0,
      detail:
        stopping.length === 0
          ? 'predictions can be created'
          : stopping.map(({ name, detail }) => `${CONDITIONS[name].begins} (${detail})`).join('; '),
    }
  }
