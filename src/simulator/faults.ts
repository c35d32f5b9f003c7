import { z } from 'zod'
import { HUGE_OUTPUTS, METRICS_KEPT, OUTPUT_SHAPES } from './prediction.ts'
import { seededRandom } from './seeded-random.ts'

/**
 * Faults on demand. A fault is switched on with a probability (`0.5`, or `{ "probability": 0.5 }`) or for the next n
 * times (`{ "next": 10 }`), with its own parameters beside them, and off with `null`.
 */

const when = { probability: z.number().min(0).max(1).optional(), next: z.int().nonnegative().optional() }

const fault = <Shape extends z.core.$ZodLooseShape>(parameters: Shape) =>
  z.preprocess(
    (value) => (typeof value === 'number' ? { probability: value } : value),
    z.strictObject({ ...when, ...parameters }).nullable(),
  )

const delay = (seconds: number) => fault({ seconds: z.number().positive().max(3600).default(seconds) })

const status = (code: number) =>
  fault({
    code: z.int().min(300).max(599).default(code),
    /** Seconds to wait after a 429, and where the response says so. */
    retry_after: z.int().positive().default(30),
    hint: z.enum(['header', 'body', 'text', 'none']).default('body'),
    /** A proxy's HTML page in place of problem+json. Default for 502, 503 and 504. */
    html: z.boolean().optional(),
  })

/** For webhooks: strikes only these events. */
const events = { events: z.array(z.enum(['start', 'output', 'logs', 'completed'])).optional() }

const responseFaults = {
  delay: delay(5),
  status: status(500),
  cut: fault({}),
  garbage: fault({}),
  hide_webhook: fault({}),
  odd_status: fault({ word: z.string().min(1).default('paused') }),
}

const fail = fault({ error: z.string().min(1).default('Prediction interrupted; please retry (code: PA)') })

const faultsSchema = z.strictObject({
  webhooks: z.strictObject({
    drop: fault(events),
    duplicate: fault({ ...events, times: z.int().positive().max(100).default(1) }),
    delay: fault({ ...events, seconds: z.number().positive().max(86_400).default(10) }),
    reorder: fault(events),
    wrong_signature: fault(events),
    old_timestamp: fault({ ...events, seconds: z.number().positive().default(600) }),
    two_signatures: fault(events),
  }),
  /** Every request to the API. */
  api: z.strictObject({ delay: delay(5), status: status(500), cut: fault({}) }),
  create: z.strictObject({
    cut_before_accept: fault({}),
    cut_after_accept: fault({}),
    delay: delay(5),
    status: status(500),
    garbage: fault({}),
    hide_webhook: fault({}),
  }),
  get: z.strictObject({ ...responseFaults, not_found: fault({}) }),
  /** `empty`: a complete list without rows. */
  list: z.strictObject({ ...responseFaults, empty: fault({}) }),
  cancel: z.strictObject(responseFaults),
  secret: z.strictObject(responseFaults),
  account: z.strictObject(responseFaults),
  models: z.strictObject(responseFaults),
  uploads: z.strictObject(responseFaults),
  trainings: z.strictObject({ ...responseFaults, fail, starting_forever: fault({}) }),
  /** The output host. */
  files: z.strictObject({
    delay: delay(5),
    status: status(500),
    cut: fault({}),
    /** The whole transfer takes this long. */
    slow: fault({ seconds: z.number().positive().max(3600).default(10) }),
    /** The file followed by endless bytes, until the client disconnects. */
    endless: fault({}),
    /** Error of `Content-Length` in bytes. */
    wrong_length: fault({ by: z.int().default(1000) }),
    redirect: fault({
      to: z.string().min(1).default('http://169.254.169.254/latest/meta-data/'),
      code: z.union([z.literal(301), z.literal(302), z.literal(303), z.literal(307), z.literal(308)]).default(302),
    }),
    expired: fault({ code: z.union([z.literal(403), z.literal(404), z.literal(410)]).default(404) }),
    /** The right bytes with a wrong type; with `page` an HTML page with the right type. */
    wrong_type: fault({ content_type: z.string().min(1).default('text/html'), page: z.boolean().default(false) }),
  }),
  streams: z.strictObject({ delay: delay(5), status: status(500), cut: fault({}) }),
  predictions: z.strictObject({
    fail,
    starting_forever: fault({}),
    huge_logs: fault({ bytes: z.int().positive().max(20_000_000).default(200_000) }),
    huge_output: fault({
      as: z.enum(HUGE_OUTPUTS).default('data_uris'),
      count: z.int().positive().max(100).default(4),
      bytes: z.int().positive().max(100_000_000).default(5_000_000),
    }),
    output: fault({ shape: z.enum(OUTPUT_SHAPES).default('object') }),
    metrics: fault({ keep: z.enum(METRICS_KEPT).default('none') }),
    other_model: fault({ name: z.string().min(1).default('replicate-internal/lifeboat') }),
  }),
})

type FaultsShape = z.output<typeof faultsSchema>
export type FaultGroup = keyof FaultsShape
export type FaultName<Group extends FaultGroup> = keyof FaultsShape[Group]
export type FaultParameters<Group extends FaultGroup, Name extends FaultName<Group>> = NonNullable<
  FaultsShape[Group][Name]
>
export type StatusFault = FaultParameters<'list', 'status'>

export interface WrongFault {
  field: string
  description: string
}

export interface Faults {
  /** Merges the changes. Returns what is wrong with them and then changes nothing. */
  merge(changes: unknown): WrongFault[]
  /** All active faults. */
  all(): Record<string, Record<string, unknown>>
  clear(): void
  /**
   * Returns the fault's parameters if it strikes now, else null. Decides and counts in one step, so `next: n` strikes
   * exactly n times under any concurrency.
   */
  strike<Group extends FaultGroup, Name extends FaultName<Group>>(
    group: Group,
    name: Name,
    event?: string,
  ): FaultParameters<Group, Name> | null
}

interface Armed {
  probability?: number | undefined
  next?: number | undefined
  events?: readonly string[] | undefined
  [parameter: string]: unknown
}

const groupNames = Object.keys(faultsSchema.shape)

export function createFaults(seed: number): Faults {
  const random = seededRandom('faults', seed)
  let groups: Record<string, Record<string, Armed>> = {}

  function merge(changes: unknown): WrongFault[] {
    const parsed = mergeSchema.safeParse(changes)
    if (!parsed.success) return parsed.error.issues.flatMap(toWrongFaults)
    for (const [group, names] of Object.entries(parsed.data)) {
      if (names === null || names === undefined) delete groups[group]
      else groups[group] = withoutNulls({ ...groups[group], ...names })
    }
    return []
  }

  function strike(group: string, name: string, event?: string): Armed | null {
    const armed = groups[group]?.[name]
    if (armed === undefined) return null
    if (event !== undefined && armed.events !== undefined && !armed.events.includes(event)) return null
    if (armed.next === undefined) return random.chance(armed.probability ?? 1) ? armed : null
    if (armed.next <= 0) return null
    armed.next -= 1
    if (armed.next === 0) delete groups[group]?.[name]
    return armed
  }

  return {
    merge,
    all: () =>
      Object.fromEntries(
        Object.entries(groups)
          .filter(([, names]) => Object.keys(names).length > 0)
          .map(([group, names]) => [group, Object.fromEntries(Object.entries(names).map(([k, v]) => [k, plain(v)]))]),
      ),
    clear: () => void (groups = {}),
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- merge has parsed each fault by its own schema
    strike: strike as Faults['strike'],
  }
}

/** Each group and each fault in it may be absent or null. */
const mergeSchema = z.strictObject(
  Object.fromEntries(
    Object.entries(faultsSchema.shape).map(([group, names]) => [group, names.partial().nullable().optional()]),
  ),
)

function withoutNulls(names: Record<string, Armed | null | undefined>): Record<string, Armed> {
  const kept: Record<string, Armed> = {}
  for (const [name, armed] of Object.entries(names)) {
    if (armed !== null && armed !== undefined && armed.next !== 0) kept[name] = { ...armed }
  }
  return kept
}

/** A fault with only a probability is shown as the number. */
const plain = (armed: Armed): unknown =>
  Object.keys(armed).length === 1 && armed.probability !== undefined ? armed.probability : armed

function toWrongFaults(issue: z.core.$ZodIssue): WrongFault[] {
  const at = issue.path.map(String)
  if (issue.code !== 'unrecognized_keys') return [{ field: at.join('.'), description: issue.message }]
  return issue.keys.map((key) => ({
    field: [...at, key].join('.'),
    description: at.length === 0 ? `unknown group, expected one of: ${groupNames.join(', ')}` : expectedNames(at, key),
  }))
}

function expectedNames(at: readonly string[], key: string): string {
  const [group, fault] = at
  if (fault !== undefined) return `${key} is not a parameter of this fault`
  const names = Object.entries(faultsSchema.shape).find(([name]) => name === group)?.[1].shape
  return `unknown fault, expected one of: ${Object.keys(names ?? {}).join(', ')}`
}
