import { z } from 'zod'
import { HUGE_OUTPUTS, METRICS_KEPT, OUTPUT_SHAPES } from './prediction.ts'
import { seededRandom } from './seeded-random.ts'

/**
 * Faults on demand. A fault is switched on with a probability (`0.5`, or `{ "probability": 0.5 }`) or for the next n
 * times (`{ "next": 10 }`), with parameters of its own beside them, and off with `null`.
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
    /** Of a 429: how long to wait, and where the answer says so. */
    retry_after: z.int().positive().default(30),
    hint: z.enum(['header', 'body', 'text', 'none']).default('body'),
    /** The page of a proxy in place of problem+json; 502, 503 and 504 are HTML unless this is false. */
    html: z.boolean().optional(),
  })

/** For webhooks: only for these events. */
const events = { events: z.array(z.enum(['start', 'output', 'logs', 'completed'])).optional() }

const answer = {
  delay: delay(5),
  status: status(500),
  cut: fault({}),
  garbage: fault({}),
  hide_webhook: fault({}),
  odd_status: fault({ word: z.string().min(1).default('paused') }),
}

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
  /** Each request to the API, whatever it is for. */
  api: z.strictObject({ delay: delay(5), status: status(500), cut: fault({}) }),
  create: z.strictObject({
    cut_before_accept: fault({}),
    cut_after_accept: fault({}),
    delay: delay(5),
    status: status(500),
    garbage: fault({}),
    hide_webhook: fault({}),
  }),
  get: z.strictObject({ ...answer, not_found: fault({}) }),
  /** `empty`: a complete list without a row. */
  list: z.strictObject({ ...answer, empty: fault({}) }),
  cancel: z.strictObject(answer),
  secret: z.strictObject(answer),
  account: z.strictObject(answer),
  models: z.strictObject(answer),
  uploads: z.strictObject(answer),
  /** The output host. */
  files: z.strictObject({
    delay: delay(5),
    status: status(500),
    cut: fault({}),
    /** The bytes take so long altogether. */
    slow: fault({ seconds: z.number().positive().max(3600).default(10) }),
    /** The file, and then more, until the client has enough. */
    endless: fault({}),
    /** By how many bytes `Content-Length` is wrong. */
    wrong_length: fault({ by: z.int().default(1000) }),
    redirect: fault({
      to: z.string().min(1).default('http://169.254.169.254/latest/meta-data/'),
      code: z.union([z.literal(301), z.literal(302), z.literal(303), z.literal(307), z.literal(308)]).default(302),
    }),
    expired: fault({ code: z.union([z.literal(403), z.literal(404), z.literal(410)]).default(404) }),
    /** The right bytes under a wrong type; with `page` a page under the right one. */
    wrong_type: fault({ content_type: z.string().min(1).default('text/html'), page: z.boolean().default(false) }),
  }),
  streams: z.strictObject({ delay: delay(5), status: status(500), cut: fault({}) }),
  predictions: z.strictObject({
    fail: fault({
      error: z.string().min(1).default('Prediction interrupted; please retry (code: PA)'),
    }),
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
  /** Merges; answers what is wrong, and then changes nothing. */
  merge(changes: unknown): WrongFault[]
  /** Everything that is switched on. */
  all(): Record<string, Record<string, unknown>>
  clear(): void
  /**
   * Whether the fault strikes now, and with which parameters. Decided and counted in one step, so `next: n` strikes
   * exactly n times however many requests are under way.
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

/** Every group and every fault of it may be left out, or null. */
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

/** A fault that has nothing but a probability is shown as the number. */
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
