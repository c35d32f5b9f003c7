import { z } from 'zod'
import { bytesOfDataUri } from './data-uri.ts'
import { filesIn } from './models/file-output.ts'
import { logLines, outputSchema, type StubbedRun } from './models/model.ts'

/** What a test wants the next creates to become. */

const NAME = /^[\w.-]+\/[\w.-]+(?::[0-9a-f]{64})?$/i

/** A stub comes over HTTP too: other files than these would read the machine's. */
const stubbedOutput = z.unknown().refine((output) => filesIn(output).every((file) => bytesOfDataUri(file) !== null), {
  error: 'expected each file as a data URI: { "$file": "data:image/png;base64,…" }',
})

export const stubSchema = z
  .strictObject({
    model: z
      .string()
      .regex(NAME, 'expected "owner/name" or "owner/name:version"')
      .describe('Any model, when it is absent. A model that is not in the catalogue accepts any input.')
      .optional(),
    token: z.string().min(1).describe('Only creates with this token.').optional(),
    output: stubbedOutput.optional(),
    chunks: z.array(z.string()).optional(),
    error: z.string().min(1).optional(),
    logs: logLines.optional(),
    seconds: z.number().nonnegative().optional(),
    start_seconds: z.number().nonnegative().optional(),
    metrics: z.record(z.string(), z.union([z.number(), z.string(), z.boolean()])).optional(),
    times: z.union([z.int().positive(), z.literal('always')]).default(1),
  })
  .refine((stub) => stub.output === undefined || stub.chunks === undefined, {
    error: 'output and chunks exclude each other',
    path: ['chunks'],
  })

export type StubData = z.output<typeof stubSchema>

/** The output of a run, computed from its input when it is created. */
export type OutputOf = (input: Record<string, unknown>) => unknown

export interface KeptStub {
  readonly id: number
  readonly stub: StubData
  readonly used: number
}

interface Kept {
  shown: { id: number; stub: StubData; used: number }
  outputOf: OutputOf | undefined
}

/** What a stub decides about a run; the rest is the model's. */
export interface StubbedPlan {
  run: StubbedRun
  error: string | null
  seconds?: number
  startSeconds?: number
}

export interface Stubs {
  /** The result shows how often it was used since. */
  add(stub: StubData, outputOf?: OutputOf): KeptStub
  /** Takes the stub of a create: the first that was made for a number of times, else the last that always holds. */
  take(create: Create, input: Record<string, unknown>): StubbedPlan | null
  /** The model that a stub names for a create; null when none does. */
  nameOf(create: Create): string | null
  all(token?: string): KeptStub[]
  remove(id: number): boolean
  clear(token?: string): void
}

interface Create {
  model: string
  /** 64 hex digits, or `hidden`. */
  version: string
  token: string | null
}

export function createStubs(): Stubs {
  let kept: Kept[] = []
  let made = 0

  const find = (create: Create): Kept | undefined => {
    const fitting = kept.filter(({ shown }) => fits(shown.stub, create))
    // A stub for one token wins over one for all.
    const own = fitting.filter(({ shown }) => shown.stub.token !== undefined)
    for (const group of [own, fitting]) {
      const found = group.find(({ shown }) => shown.stub.times !== 'always') ?? group.at(-1)
      if (found !== undefined) return found
    }
    return undefined
  }

  return {
    add(data, outputOf) {
      made += 1
      const shown = { id: made, stub: data, used: 0 }
      kept.push({ shown, outputOf })
      return shown
    },
    take(create, input) {
      const stub = find(create)
      if (stub === undefined) return null
      stub.shown.used += 1
      if (stub.shown.used === stub.shown.stub.times) kept = kept.filter((one) => one !== stub)
      return planOf(stub, input)
    },
    nameOf(create) {
      const named = kept.find(({ shown }) => shown.stub.model !== undefined && fits(shown.stub, create))
      return named?.shown.stub.model?.split(':')[0] ?? null
    },
    all: (token) => kept.map(({ shown }) => shown).filter(({ stub }) => token === undefined || stub.token === token),
    remove(id) {
      const before = kept.length
      kept = kept.filter(({ shown }) => shown.id !== id)
      return kept.length < before
    },
    clear: (token) => void (kept = token === undefined ? [] : kept.filter(({ shown }) => shown.stub.token !== token)),
  }
}

function fits({ model, token }: StubData, create: Create): boolean {
  if (token !== undefined && token !== create.token) return false
  if (model === undefined) return true
  const [name, version] = model.split(':')
  // A create by version names no model: an unknown one is recognised by its digits.
  return version === undefined ? name === create.model : version === create.version
}

function planOf({ shown: { stub: data }, outputOf }: Kept, input: Record<string, unknown>): StubbedPlan {
  const { chunks, error = null, logs, metrics, seconds, start_seconds: startSeconds } = data
  const plan: StubbedPlan = {
    run: { ...(logs === undefined ? {} : { logs }), ...(metrics === undefined ? {} : { metrics }) },
    error,
    ...(seconds === undefined ? {} : { seconds }),
    ...(startSeconds === undefined ? {} : { startSeconds }),
  }
  if (chunks !== undefined) plan.run.output = outputSchema.parse({ kind: 'text', chunks })
  if (outputOf === undefined) {
    if (data.output !== undefined) plan.run.output = outputSchema.parse({ kind: 'json', value: data.output })
    return plan
  }
  try {
    const value = outputOf(input)
    if (value instanceof Promise)
      throw new TypeError('The output function of a stub returned a promise, not an output.')
    const parsed = stubbedOutput.safeParse(value)
    if (!parsed.success)
      throw new Error(`The output of a stub's function is not valid: ${z.prettifyError(parsed.error)}`)
    plan.run.output = outputSchema.parse({ kind: 'json', value })
  } catch (cause) {
    plan.error = cause instanceof Error ? cause.message : String(cause)
  }
  return plan
}
