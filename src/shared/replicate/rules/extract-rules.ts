import type { Rule } from '../../values/json-extract.ts'

/** Parts that are extracted from Replicate's responses while they arrive (json-extract.ts); the rest is skipped. */

const KB = 1024
const word: Rule = { kind: 'whole', bytes: KB }

const object = (fields: Record<string, Rule>): Rule => ({ kind: 'object', fields: new Map(Object.entries(fields)) })

/** Limit of an output in a page of a hundred rows; enough for an output of links. */
const ROW_OUTPUT_BYTES = 16 * KB
/** More than the JSON of any output that fits in a record (32 kB of text), also as a list of tokens. */
const OUTPUT_BYTES = 256 * KB
/** Inputs are limited to about 1 MB of inline files and 2 MB of other values, of which Replicate may escape characters. */
const INPUT_BYTES = 8 * KB * KB

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

/** The beginning of the logs contains the seed, their end the progress. */
const logs = (tail: number): Rule => ({ kind: 'ends', head: 16 * KB, tail, leftOut: 'logs_left_out' })

export const PREDICTION = object({
  ...said,
  input: { kind: 'whole', bytes: INPUT_BYTES },
  logs: logs(128 * KB),
  output: { kind: 'whole', bytes: OUTPUT_BYTES, leftOut: LEFT_OUT },
})

/** Longer strings are streamed to the taker: files as data URIs, and long texts. */
const LONG_STRING_BYTES = 256 * KB
/** Limit of an output without its long strings. */
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

/** The address of the stream of a prediction. */
export const STREAM_URL = object({ urls: object({ stream: { kind: 'whole', bytes: 8 * KB } }) })

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
  // Fields of a single version.
  ...VERSION_FIELDS,
})

/** Any other response: an account, a secret, a file. */
export const OTHER: Rule = { kind: 'whole', bytes: KB * KB }

/** Limit of the extract of one response. */
export const MAX_KEPT_BYTES = 32 * KB * KB
