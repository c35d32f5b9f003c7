/** Spending by day (UTC) and by preset or model. Micro-credits. */

export interface Spending {
  /** Number of charged jobs. */
  jobs: number
  /** Sum of their holds. */
  estimated: number
  captured: number
  /** The part of their price that the account could not cover. */
  uncollected: number
}

export interface SpendingRow extends Spending {
  /** `2026-01-31` */
  day: string
  /** The preset, or the model for a job without a preset; or the model, user, key or tenant by which it was read. */
  label: string
}

/** What the spending of a job is counted by, besides its label. */
export interface SpendingGroups {
  tenant: string
  model: string
  user?: string
  key?: string
}

/** How long spending by these groups is kept, ms; that by label is kept for ever. */
export const SPENDING_KEPT = 400 * 86_400_000

/** By which the spending of a tenant can be read; a job without a preset has its model as label. */
export const SPENDING_LABELS = ['preset', 'model', 'user', 'key'] as const
export type SpendingLabel = (typeof SPENDING_LABELS)[number]

const NOTHING: Spending = { jobs: 0, estimated: 0, captured: 0, uncollected: 0 }
const DAY_MS = 86_400_000

/** Whether the text is an existing day, `2026-01-31`. */
export function isDay(text: string): boolean {
  const at = Date.parse(`${text}T00:00:00.000Z`)
  return /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(at) && dayOf(at) === text
}

export const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10)

/** The day `days` after a day; before it when `days` is negative. */
export const dayAfter = (day: string, days: number): string => dayOf(Date.parse(`${day}T00:00:00.000Z`) + days * DAY_MS)

/** Days from the first to the last, both included; empty when `from` is after `to`. */
export function daysBetween(from: string, to: string): string[] {
  const days: string[] = []
  for (let day = from; day <= to; day = dayAfter(day, 1)) days.push(day)
  return days
}

/** The rows of one day's hash: fields `<what>:<label>`; a label may contain colons. */
export function decodeSpending(day: string, hash: Record<string, string>): SpendingRow[] {
  const rows = new Map<string, SpendingRow>()
  for (const [field, value] of Object.entries(hash)) {
    const at = field.indexOf(':')
    const [what, label] = [field.slice(0, at), field.slice(at + 1)]
    if (!isWhat(what)) continue
    const row = rows.get(label) ?? { day, label, ...NOTHING }
    rows.set(label, { ...row, [what]: Number(value) })
  }
  return [...rows.values()].sort((a, b) => (a.label < b.label ? -1 : 1))
}

const isWhat = (name: string): name is keyof Spending => Object.hasOwn(NOTHING, name)

export const addUp = (rows: readonly Spending[]): Spending =>
  rows.reduce<Spending>(
    (sum, row) => ({
      jobs: sum.jobs + row.jobs,
      estimated: sum.estimated + row.estimated,
      captured: sum.captured + row.captured,
      uncollected: sum.uncollected + row.uncollected,
    }),
    NOTHING,
  )

/** One sum for each day or each label, sorted by it. */
export function groupSpending(rows: readonly SpendingRow[], by: 'day' | 'label'): (Spending & { group: string })[] {
  const groups = new Map<string, SpendingRow[]>()
  for (const row of rows) {
    const group = groups.get(row[by])
    if (group) group.push(row)
    else groups.set(row[by], [row])
  }
  return [...groups.keys()].sort().map((group) => ({ group, ...addUp(groups.get(group) ?? []) }))
}
