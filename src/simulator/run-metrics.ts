import type { Model } from './models/model.ts'
import type { Prediction } from './prediction.ts'
import { tokensOf } from './run-content.ts'
import { fileNames, FRAMES_PER_SECOND, frameCount } from './run-files.ts'
import { THINKING } from './run-stages.ts'
import { tokenCount } from './write-text.ts'

export type Metrics = Prediction['metrics']

/** A finished run: `seconds` of running, `total` seconds since creation. */
export interface FinishedRun {
  succeeded: boolean
  seconds: number
  total: number
}

/** All metrics of a finished run. */
export function metricsOf(prediction: Prediction, model: Model, run: FinishedRun): Metrics {
  const times = { predict_time: rounded(run.seconds), total_time: rounded(run.total) }
  return run.succeeded ? { ...times, ...madeBy(prediction, model, run.seconds), ...model.metrics } : times
}

function madeBy(prediction: Prediction, model: Model, seconds: number): Metrics {
  switch (model.output.kind) {
    case 'pictures':
    case 'restoration':
      return { image_output_count: fileNames(prediction, model).length }
    case 'film':
      return {
        video_output_count: 1,
        video_output_duration_seconds: frameCount(prediction, model) / FRAMES_PER_SECOND,
        resolution_target: '480p',
      }
    case 'text':
      return tokenMetrics(prediction, model, seconds)
    default:
      return {}
  }
}

function tokenMetrics(prediction: Prediction, model: Model, seconds: number): Metrics {
  const { prompt, system_instruction: system } = prediction.input
  const read = tokenCount(`${typeof prompt === 'string' ? prompt : ''}${typeof system === 'string' ? system : ''}`)
  const written = tokensOf(prediction, model).length
  return {
    input_token_count: read,
    output_token_count: written,
    token_input_count: read,
    token_output_count: written,
    time_to_first_token: rounded(seconds * THINKING),
    tokens_per_second: rounded(written / Math.max(seconds * (1 - THINKING), 0.001)),
  }
}

const TIMES = new Set(['predict_time', 'total_time'])

/** The metrics that the API reports for this prediction; they depend on the model and how it is called. */
export function reportedMetrics({ plan }: Prediction, metrics: Metrics): Metrics {
  switch (plan.metrics) {
    case 'none':
      return {}
    case 'times':
      return only(metrics, (name) => TIMES.has(name))
    case 'counts':
      return only(metrics, (name) => !TIMES.has(name))
    default:
      return metrics
  }
}

const only = (metrics: Metrics, isReported: (name: string) => boolean): Metrics =>
  Object.fromEntries(Object.entries(metrics).filter(([name]) => isReported(name)))

const rounded = (value: number) => Math.round(value * 1_000_000) / 1_000_000
