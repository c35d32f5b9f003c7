import type { Place } from '../rules/place.ts'
import type { Priority } from '../rules/job.ts'

/** Members of the line (indexes/order.lua): text that sorts by class, tenant, lane and time. */

const LETTERS = { interactive: 'i', batch: 'b' } as const satisfies Record<Priority, string>
const DIGITS = 13

export const classLetter = (priority: Priority): string => LETTERS[priority]

/** `<class> <tenant> <lane> <ready> <job> <cost>`, without blanks inside; cost `-`: that of the target. */
export const lineMember = ({ job, tenant, priority, lane, ready, cost }: Place): string =>
  [LETTERS[priority], tenant, lane, String(ready).padStart(DIGITS, '0'), job, cost === null ? '-' : String(cost)].join(
    ' ',
  )

export function parseLineMember(member: string): Place {
  const [letter, tenant = '', lane = '', ready = '', job = '', cost = ''] = member.split(' ')
  return {
    job,
    tenant,
    priority: letter === LETTERS.batch ? 'batch' : 'interactive',
    lane,
    ready: Number(ready),
    cost: cost === '-' ? null : Number(cost),
  }
}

/** `<scope> <job>` */
export const flightMember = (scope: string, job: string): string => `${scope} ${job}`

export function parseFlightMember(member: string): { scope: string; job: string } {
  const at = member.lastIndexOf(' ')
  return { scope: member.slice(0, at), job: member.slice(at + 1) }
}

/** Bounds of the members that begin with a scope, in lexical order: `!` comes after the blank. */
export const ofScope = (scope: string): { first: string; after: string } => ({
  first: `[${scope} `,
  after: `(${scope}!`,
})

/** `<class> <tenant> <lane>` */
export const flowOf = ({ tenant, priority, lane }: Pick<Place, 'tenant' | 'priority' | 'lane'>): string =>
  [LETTERS[priority], tenant, lane].join(' ')
