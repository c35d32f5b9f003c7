import type { Model } from './models/model.ts'
import { type Prediction, progressAt, statusAt } from './prediction.ts'
import { toTokens, tokenCount, writeText } from './write-text.ts'

/** What a run has made so far. Nothing of it is stored: model, input, seed and progress tell it again at any time. */

export interface RunContent {
  output: unknown
  logs: string
}

/** The first part of a text run is spent thinking. */
const THINKING = 0.25
/** Pictures are there a little before the run is over. */
const PICTURES_AT = 0.97

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
  if (output.kind === 'text') return textAt(prediction, progress)
  if (output.kind === 'pictures') {
    if (progress < PICTURES_AT) return null
    const urls = pictureNames(prediction).map(fileUrl)
    return output.single ? (urls[0] ?? null) : urls
  }
  if (progress < 1) return null
  return output.kind === 'string' ? fill(output.template, prediction.input) : output.value
}

function textAt(prediction: Prediction, progress: number): string[] | null {
  const tokens = tokensOf(prediction)
  if (progress >= 1) return tokens
  const written = Math.floor(tokens.length * ((progress - THINKING) / (1 - THINKING)))
  return written <= 0 ? null : tokens.slice(0, written)
}

/** The files of a picture run: `out-0.webp`, `out-1.webp`, … */
export function pictureNames({ input }: Prediction): string[] {
  const count = typeof input['num_outputs'] === 'number' ? input['num_outputs'] : 1
  return Array.from({ length: count }, (_, i) => `out-${i}.${pictureFormat(input)}`)
}

export function pictureFormat(input: Record<string, unknown>): 'webp' | 'jpg' | 'png' {
  const wanted = input['output_format']
  return wanted === 'jpg' || wanted === 'jpeg' ? 'jpg' : wanted === 'png' ? 'png' : 'webp'
}

const fill = (template: string, input: Record<string, unknown>) =>
  template.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = input[name]
    return typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value)
  })

/** The text of a run is cut into tokens once, not at every look at it. */
const texts = new Map<string, string[]>()
const TEXTS_KEPT = 200

function tokensOf(prediction: Prediction): string[] {
  const known = texts.get(prediction.id)
  if (known !== undefined) return known
  const { prompt, max_output_tokens: limit } = prediction.input
  const all = toTokens(writeText(typeof prompt === 'string' ? prompt : '', seedOf(prediction)))
  const tokens = typeof limit === 'number' ? all.slice(0, limit) : all
  texts.set(prediction.id, tokens)
  const oldest = texts.keys().next()
  if (texts.size > TEXTS_KEPT && oldest.done !== true) texts.delete(oldest.value)
  return tokens
}

/** The seed that was asked for, else the one that the run was given. */
export function seedOf({ input, seed }: Prediction): number {
  return typeof input['seed'] === 'number' ? input['seed'] : seed
}

function logsAt(prediction: Prediction, model: Model, progress: number): string {
  const lines = model.output.kind === 'pictures' ? stepLogs(prediction, progress) : []
  if (model.output.kind === 'text') lines.push(...thinkingLogs(progress))
  const extra = Math.floor(prediction.plan.extraLogBytes * progress)
  if (extra > 0) lines.push('verbose: '.padEnd(extra, 'all work and no play makes a dull log. '))
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`
}

/** Progress as tqdm prints it: ` 50%|█████     | 2/4 [00:01<00:01,  1.51it/s]`. */
function stepLogs(prediction: Prediction, progress: number): string[] {
  const wanted = prediction.input['num_inference_steps']
  const steps = typeof wanted === 'number' && wanted >= 1 ? wanted : 4
  const done = Math.min(steps, Math.floor((progress / PICTURES_AT) * steps))
  const perStep = (prediction.plan.runForMs * PICTURES_AT) / 1000 / steps
  const first = [`Using seed: ${seedOf(prediction)}`]
  const bars = Array.from({ length: done + 1 }, (_, step) => {
    const share = step / steps
    const bar = '█'.repeat(Math.round(share * 10)).padEnd(10)
    const speed = step === 0 ? '?' : (1 / Math.max(perStep, 0.0001)).toFixed(2)
    const left = step === 0 ? '?' : clock((steps - step) * perStep)
    return `${String(Math.round(share * 100)).padStart(3)}%|${bar}| ${step}/${steps} [${clock(step * perStep)}<${left}, ${speed.padStart(5)}it/s]`
  })
  return [...first, ...bars]
}

function thinkingLogs(progress: number): string[] {
  const stages: [number, string][] = [
    [0, 'Reading the prompt'],
    [0.08, 'Thinking'],
    [0.16, 'Making an outline'],
    [THINKING, 'Writing'],
    [0.5, 'Half of the answer is written'],
    [0.75, 'Three quarters of the answer are written'],
    [1, 'Done'],
  ]
  return stages.filter(([from]) => progress >= from).map(([, line]) => line)
}

const clock = (seconds: number) =>
  `${String(Math.floor(seconds / 60)).padStart(2, '0')}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`

/** The metrics of a run that is over; `seconds` it ran, `total` since it was created. */
export function metricsOf(
  prediction: Prediction,
  model: Model,
  run: { succeeded: boolean; seconds: number; total: number },
): Record<string, number> {
  const times = { predict_time: rounded(run.seconds), total_time: rounded(run.total) }
  if (!run.succeeded) return times
  if (model.output.kind === 'pictures') return { ...times, image_output_count: pictureNames(prediction).length }
  if (model.output.kind !== 'text') return times
  const { prompt, system_instruction: system } = prediction.input
  const read = tokenCount(`${typeof prompt === 'string' ? prompt : ''}${typeof system === 'string' ? system : ''}`)
  const written = tokensOf(prediction).length
  return {
    ...times,
    input_token_count: read,
    output_token_count: written,
    token_input_count: read,
    token_output_count: written,
    time_to_first_token: rounded(run.seconds * THINKING),
    tokens_per_second: rounded(written / Math.max(run.seconds * (1 - THINKING), 0.001)),
  }
}

const rounded = (value: number) => Math.round(value * 1_000_000) / 1_000_000
