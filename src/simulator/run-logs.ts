import type { Model } from './models/model.ts'
import type { Prediction } from './prediction.ts'
import { fill } from './fill-template.ts'
import { FILES_AT, THINKING } from './run-stages.ts'
import { FRAMES_PER_SECOND, frameCount, seedOf } from './run-files.ts'

/** A log line, and the progress (0 to 1) at which it is written. */
export interface LogLine {
  at: number
  line: string
}

/** All log lines of a run, in order. */
export function logLinesOf(prediction: Prediction, model: Model): LogLine[] {
  if (model.logs !== null) return spread(model.logs.map((line) => fill(line, prediction.input)))
  switch (model.output.kind) {
    case 'pictures':
      return stepLines(prediction)
    case 'restoration':
      return restorationLines(prediction)
    case 'film':
      return filmLines(prediction, model)
    case 'text':
      return thinkingLines
    default:
      return []
  }
}

/** Lines at equal distances, the first at the start. */
const spread = (lines: string[]): LogLine[] => lines.map((line, i) => ({ at: i / lines.length, line }))

/** Progress as tqdm prints it: ` 50%|█████     | 2/4 [00:01<00:01,  1.51it/s]`. */
function stepLines(prediction: Prediction): LogLine[] {
  const wanted = prediction.input['num_inference_steps']
  const steps = typeof wanted === 'number' && wanted >= 1 ? wanted : 4
  const perStep = (prediction.plan.runForMs * FILES_AT) / 1000 / steps
  const bars = Array.from({ length: steps + 1 }, (_, step) => {
    const share = step / steps
    const bar = '█'.repeat(Math.round(share * 10)).padEnd(10)
    const speed = step === 0 ? '?' : (1 / Math.max(perStep, 0.0001)).toFixed(2)
    const left = step === 0 ? '?' : clock((steps - step) * perStep)
    const percent = String(Math.round(share * 100)).padStart(3)
    const line = `${percent}%|${bar}| ${step}/${steps} [${clock(step * perStep)}<${left}, ${speed.padStart(5)}it/s]`
    return { at: share * FILES_AT, line }
  })
  return [{ at: 0, line: `Using seed: ${seedOf(prediction)}` }, ...bars]
}

function restorationLines(prediction: Prediction): LogLine[] {
  return [
    { at: 0, line: `Using seed: ${seedOf(prediction)}` },
    { at: 0.05, line: 'Looking for scratches, dust and faded colours' },
    { at: 0.4, line: 'Removing scratches' },
    { at: 0.7, line: 'Bringing back contrast and colour' },
    { at: FILES_AT, line: 'Saving the image' },
  ]
}

function filmLines(prediction: Prediction, model: Model): LogLine[] {
  const frames = frameCount(prediction, model)
  const wanted = prediction.input['num_frames_per_chunk']
  const perChunk = typeof wanted === 'number' ? wanted : frames
  const about = `Sound of ${(frames / FRAMES_PER_SECOND).toFixed(1)} s: ${frames} frames, ${perChunk} at a time`
  return [
    { at: 0, line: `Using seed: ${seedOf(prediction)}` },
    { at: 0, line: about },
    ...Array.from({ length: frames }, (_, i) => ({
      at: ((i + 1) / frames) * FILES_AT,
      line: `Processing frame ${i + 1}/${frames}...`,
    })),
    { at: FILES_AT, line: 'Saving the video' },
  ]
}

const thinkingLines: LogLine[] = [
  { at: 0, line: 'Reading the prompt' },
  { at: 0.08, line: 'Thinking' },
  { at: 0.16, line: 'Making an outline' },
  { at: THINKING, line: 'Writing' },
  { at: 0.5, line: 'Half of the text is written' },
  { at: 0.75, line: 'Three quarters of the text are written' },
  { at: 1, line: 'Done' },
]

const clock = (seconds: number) =>
  `${String(Math.floor(seconds / 60)).padStart(2, '0')}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`
