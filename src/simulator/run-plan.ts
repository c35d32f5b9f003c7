import type { Model } from './models/model.ts'
import type { Prediction, RunPlan } from './prediction.ts'
import type { Metrics } from './run-metrics.ts'
import type { StubbedPlan } from './stubs.ts'
import { seededRandom } from './seeded-random.ts'

interface PlanOptions {
  speed: number
  stub: StubbedPlan | null
  /** Longest run; null: any. */
  limitSeconds: number | null
}

/** As reported in replicate/cog#2098. */
const TIMED_OUT = 'Prediction timed out.'

/** Duration of a run, from the model's times, the prediction's seed and the simulator's speed, or as a stub has it. */
export function planRun(model: Model, seed: number, { speed, stub, limitSeconds }: PlanOptions): RunPlan {
  const random = seededRandom('run', model.name, seed)
  const startSeconds = random.between(...model.startSeconds)
  const drawnSeconds = random.between(...model.runSeconds)
  const runSeconds = stub?.seconds ?? drawnSeconds
  const isTooLong = limitSeconds !== null && runSeconds > limitSeconds
  return {
    // Never 0: a new prediction is always `starting`.
    startAfterMs: Math.max(0.001, ((stub?.startSeconds ?? startSeconds) * 1000) / speed),
    runForMs: ((isTooLong ? limitSeconds : runSeconds) * 1000) / speed,
    error: isTooLong ? TIMED_OUT : (stub?.error ?? null),
    extraLogBytes: 0,
    ...(stub === null ? {} : { stub: stub.run }),
  }
}

/** Price of a run in US dollars; `billedSecondsOf` decides which runs are billed. */
export function costOf(model: Model, seconds: number, metrics: Metrics): number {
  const { per, usd } = model.price
  const measured = (name: string, otherwise: number) => Number(metrics[name] ?? otherwise)
  const units = {
    second: seconds,
    output: measured('image_output_count', 1),
    thousand_tokens: measured('output_token_count', 0) / 1000,
    video_second: measured('video_output_duration_seconds', 0),
  }
  return units[per] * usd
}

/**
 * Replicate's rules: aborted is free; on public models failed is free and canceled costs the time that it ran; a
 * deployment costs the time that it ran in any case.
 */
export function billedSecondsOf(prediction: Pick<Prediction, 'deployment'>, status: string, seconds: number): number {
  if (status === 'aborted') return 0
  if (status === 'failed' && prediction.deployment === null) return 0
  return seconds
}
