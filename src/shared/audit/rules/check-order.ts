import type { JobKeys } from '../../jobs/record/job-keys.ts'
import { flowOf, parseLineMember } from '../../jobs/record/line-member.ts'
import { PRIORITIES, type Priority } from '../../jobs/rules/job.ts'
import type { Place } from '../../jobs/rules/place.ts'
import { problem, type Command, type Problem } from './finding.ts'

/** The order of waiting jobs at one moment: the members of its keys (jobs/indexes/order.lua). */
export interface OrderSnapshot {
  line: string[]
  lanes: string[]
  heads: Record<string, string>
  turns: Record<Priority, string[]>
  parked: string[]
  /** Number of places that jobs may return to. */
  places: number
}

const PARKED = 'parked '

/**
 * A lane whose head is not noted, or a tenant without a turn, would wait for ever. What has only left the line is found out when its
 * turn comes.
 */
export function checkOrder({ line, lanes, heads, turns, parked }: OrderSnapshot, keys: JobKeys): Problem[] {
  const problems: Problem[] = []
  const say = (id: string, detail: string, fix: Command[]): void => {
    problems.push(problem('order_follows', id, detail, fix))
  }
  const listed = new Set(lanes)
  /** The heads once they are repaired. */
  const right = new Map(Object.entries(heads))
  const first = new Map<string, { head: string; place: Place }>()
  for (const member of line.toSorted()) {
    const place = parseLineMember(member)
    const [, , , ready, job] = member.split(' ')
    const flow = flowOf(place)
    if (!first.has(flow)) first.set(flow, { head: `${ready} ${job}`, place })
  }
  for (const [flow, { head, place }] of first) {
    const { tenant, priority, lane } = place
    const [letter] = flow.split(' ')
    const entry = (of: string): string => `${letter} ${tenant} ${of} ${lane}`
    const turn: Command = ['zadd', keys.turns(priority), 'NX', '0', tenant]
    const list: Command[] = [['zadd', keys.lanes, '0', entry(head)], ['hset', keys.laneHeads, flow, head], turn]
    const noted = heads[flow]
    if (noted === undefined || (noted > head && !noted.startsWith(PARKED))) right.set(flow, head)
    if (noted === undefined) say(flow, 'jobs wait in the lane, and its head is not noted', list)
    else if (noted.startsWith(PARKED)) {
      const mark = `${noted.slice(PARKED.length)} ${flow}`
      if (!parked.includes(mark)) say(flow, 'the lane is parked for nothing', [['zadd', keys.parked, '0', mark]])
    } else if (noted > head) say(flow, `its head is ${head}, but ${noted} is noted`, list)
    else if (!listed.has(entry(noted)))
      say(flow, 'the lane has no entry', [['zadd', keys.lanes, '0', entry(noted)], turn])
    else if (!turns[priority].includes(tenant)) say(flow, 'its tenant has no turn', [turn])
  }
  for (const member of lanes) {
    const [letter, tenant, ready, job, lane] = member.split(' ')
    const flow = `${letter} ${tenant} ${lane}`
    if (right.get(flow) !== `${ready} ${job}`)
      say(flow, `an entry names ${job}, which is not its head`, [['zrem', keys.lanes, member]])
  }
  return problems
}

/** At rest nobody waits. */
export const waitingIn = ({ line, lanes, parked, turns, places }: OrderSnapshot): number =>
  [line, lanes, parked, ...PRIORITIES.map((priority) => turns[priority])].reduce((sum, one) => sum + one.length, places)
