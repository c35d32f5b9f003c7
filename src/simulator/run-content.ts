import { fill } from './fill-template.ts'
import { withFiles } from './models/file-output.ts'
import type { Model, ModelOutput } from './models/model.ts'
import { type HugeOutput, type Prediction, progressAt, statusAt } from './prediction.ts'
import { fileNames, isSingleFile, seedOf } from './run-files.ts'
import { logLinesOf } from './run-logs.ts'
import { FILES_AT, THINKING } from './run-stages.ts'
import { toTokens, writeText } from './write-text.ts'

/** The output of a run so far. It is not stored, but derived from model, input, seed and progress. */

export interface RunContent {
  output: unknown
  logs: string
}

export function runContentAt(
  prediction: Prediction,
  model: Model,
  now: number,
  fileUrl: (name: string) => string,
): RunContent {
  if (prediction.removed) return { output: null, logs: '' }
  const status = statusAt(prediction, now)
  if (status === 'starting' || status === 'aborted') return { output: null, logs: '' }
  const progress = progressAt(prediction, now)
  const done = status === 'succeeded' || (status === 'processing' && progress >= 1 && prediction.plan.error === null)
  const output = status === 'failed' ? null : outputAt(prediction, model, done ? 1 : progress, fileUrl)
  return { output, logs: logsAt(prediction, model, done ? 1 : progress) }
}

function outputAt(prediction: Prediction, model: Model, progress: number, fileUrl: (name: string) => string): unknown {
  const { output } = model
  const { shape, hugeOutput } = prediction.plan
  if (hugeOutput !== undefined) return progress < 1 ? null : hugeOutputOf(hugeOutput)
  if (shape === 'null') return null
  const names = fileNames(prediction, model)
  if (names.length > 0) {
    if (progress < FILES_AT) return null
    const urls = names.map(fileUrl)
    if (output.kind === 'json' && shape === undefined) return valueOf(output, prediction, (i) => urls[i])
    const isSingle = shape === 'single' || (shape !== 'array' && isSingleFile(model))
    if (shape === 'object') return { image: urls[0], details: { files: urls, seed: seedOf(prediction) } }
    return isSingle ? (urls[0] ?? null) : urls
  }
  if (output.kind === 'text' && (shape === undefined || shape === 'array')) return textAt(prediction, model, progress)
  if (progress < 1) return null
  if (output.kind === 'json') return valueOf(output, prediction, () => null)
  const text = output.kind === 'string' ? fill(output.template, prediction.input) : tokensOf(prediction, model).join('')
  if (shape === 'array') return [text]
  if (shape === 'object') return { text }
  return shape === 'data_uri' ? `data:text/plain;charset=utf-8;base64,${Buffer.from(text).toString('base64')}` : text
}

/** Built for each response and never kept. */
function hugeOutputOf({ as, count, bytes }: HugeOutput): unknown {
  if (as === 'text') return 'A long text. '.repeat(Math.ceil(bytes / 13)).slice(0, bytes)
  if (as === 'tokens') return Array<string>(Math.ceil(bytes / 6)).fill(' token')
  return Array.from(
    { length: count },
    (_, i) => `data:application/octet-stream;base64,${Buffer.alloc(bytes, i + 1).toString('base64')}`,
  )
}

function textAt(prediction: Prediction, model: Model, progress: number): string[] | null {
  const tokens = tokensOf(prediction, model)
  if (progress >= 1) return tokens
  const written = Math.floor(tokens.length * ((progress - THINKING) / (1 - THINKING)))
  return written <= 0 ? null : tokens.slice(0, written)
}

/** Progress of the run when a token is written, consistent with `textAt`. */
export const tokenAt = (index: number, count: number): number => THINKING + (1 - THINKING) * ((index + 1) / count)

/** A value of the model's own, with the URLs of its files, and with the input in its texts where they are templates. */
function valueOf(
  { value, template }: Extract<ModelOutput, { kind: 'json' }>,
  { input }: Prediction,
  fileUrl: (index: number) => unknown,
): unknown {
  const shown = withFiles(value, fileUrl)
  if (!template) return shown
  return JSON.parse(JSON.stringify(shown), (_, part: unknown) => (typeof part === 'string' ? fill(part, input) : part))
}

/** Caches a run's text as tokens. */
const texts = new Map<string, string[]>()
const TEXTS_KEPT = 200

export function tokensOf(prediction: Prediction, { output }: Model): string[] {
  if (output.kind === 'text' && output.chunks !== undefined) return output.chunks
  const known = texts.get(prediction.id)
  if (known !== undefined) return known
  const { prompt, max_output_tokens: limit } = prediction.input
  const own = output.kind === 'text' ? output.template : undefined
  const written = () => writeText(typeof prompt === 'string' ? prompt : '', seedOf(prediction))
  const all = toTokens(own === undefined ? written() : fill(own, prediction.input))
  const tokens = typeof limit === 'number' ? all.slice(0, limit) : all
  texts.set(prediction.id, tokens)
  const oldest = texts.keys().next()
  if (texts.size > TEXTS_KEPT && oldest.done !== true) texts.delete(oldest.value)
  return tokens
}

function logsAt(prediction: Prediction, model: Model, progress: number): string {
  const lines = logLinesOf(prediction, model).flatMap(({ at, line }) => (at <= progress ? [line] : []))
  const extra = Math.floor(prediction.plan.extraLogBytes * progress)
  if (extra > 0) lines.push('verbose: '.padEnd(extra, 'all work and no play makes a dull log. '))
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`
}
