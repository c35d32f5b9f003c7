import type { Rule } from './json-extract.ts'

/** What is kept of Replicate's answers while they arrive (json-extract.ts); everything else is passed over. */

const KB = 1024
const word: Rule = { kind: 'whole', bytes: KB }

const object = (fields: Record<string, Rule>): Rule => ({ kind: 'object', fields: new Map(Object.entries(fields)) })

/** Small enough for a hundred rows of a page; what an output of links needs. */
const ROW_OUTPUT_BYTES = 16 * KB
/** More than any output that can live in a record (32 kB of text) needs as JSON, also in tokens. */
const OUTPUT_BYTES = 256 * KB
/** Inputs have at most about 1 MB of files inline beside 96 kB. */
const INPUT_BYTES = 2 * KB * KB

const said = {
  id: word,
  status: word,
  model: word,
  version: word,
  created_at: word,
  started_at: word,
  completed_at: word,
  data_removed: word,
  webhook: { kind: 'whole', bytes: 8 * KB },
  metrics: { kind: 'whole', bytes: 64 * KB },
  error: { kind: 'ends', head: 16 * KB, tail: 4 * KB },
} satisfies Record<string, Rule>

const LEFT_OUT = 'output_left_out'

/** The beginning of the logs tells the seed, their end how far the run is. */
const logs = (tail: number): Rule => ({ kind: 'ends', head: 16 * KB, tail, leftOut: 'logs_left_out' })

export const PREDICTION = object({
  ...said,
  input: { kind: 'whole', bytes: INPUT_BYTES },
  logs: logs(128 * KB),
  output: { kind: 'whole', bytes: OUTPUT_BYTES, leftOut: LEFT_OUT },
})

/** Strings that are longer go aside: files as data URIs, and long texts. */
const LONG_STRING_BYTES = 256 * KB
/** An output beside its long strings. */
const MAX_OUTPUT_BYTES = 16 * KB * KB
const MAX_OUTPUT_VALUES = 1_000_000

export const WITH_OUTPUT = object({
  ...said,
  output: {
    kind: 'aside',
    longer: LONG_STRING_BYTES,
    bytes: MAX_OUTPUT_BYTES,
    values: MAX_OUTPUT_VALUES,
    leftOut: LEFT_OUT,
  },
})

export const PAGE = object({
  next: { kind: 'whole', bytes: 8 * KB },
  results: {
    kind: 'array',
    items: object({
      ...said,
      logs: logs(4 * KB),
      output: { kind: 'whole', bytes: ROW_OUTPUT_BYTES, leftOut: LEFT_OUT },
    }),
  },
})

const VERSION_FIELDS: Record<string, Rule> = {
  id: word,
  openapi_schema: object({ components: object({ schemas: { kind: 'whole', bytes: 8 * KB * KB } }) }),
}

export const MODEL = object({
  owner: word,
  name: word,
  description: { kind: 'ends', head: 16 * KB, tail: 0 },
  is_official: word,
  latest_version: object(VERSION_FIELDS),
  // Of one version asked for by its id.
  ...VERSION_FIELDS,
})

/** Any other answer: an account, a secret, a file. */
export const OTHER: Rule = { kind: 'whole', bytes: KB * KB }

/** Of all that is kept of one answer. */
export const MAX_KEPT_BYTES = 32 * KB * KB
