import type { JobLogs, LogPiece } from '../description/jobs.ts'

/** Characters by which the beginning of newer logs is searched in older ones. */
const PROBE = 200

/** Turns logs of which only the end is known into pieces that continue each other. null: nothing new. */
export function createLogTail(): (now: JobLogs) => LogPiece | null {
  let known: string | null = null
  return ({ logs, truncated }) => {
    if (logs === null || logs === (known ?? '')) return null
    const added = known === null ? null : addedTo(known, logs)
    known = logs
    return added === null ? { text: logs, replace: true, truncated } : { text: added, replace: false, truncated }
  }
}

/** What newer logs have after older ones, whose beginning may be cut off meanwhile; null: they have nothing in common. */
function addedTo(known: string, logs: string): string | null {
  if (logs.startsWith(known)) return logs.slice(known.length)
  const probe = logs.slice(0, PROBE)
  for (let at = known.indexOf(probe); at !== -1; at = known.indexOf(probe, at + 1))
    if (logs.startsWith(known.slice(at))) return logs.slice(known.length - at)
  return null
}
