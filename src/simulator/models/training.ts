import { file } from './file.ts'
import type { Model } from './model.ts'

/** The training of a prediction's row: what it makes, and where. */
export interface Training {
  /** `owner/name` of the model that gets the new version. */
  destination: string
  /** The new version: 64 hex digits. */
  version: string
  /** The version whose schema and behaviour the new one has. */
  like: string
}

/** An empty tar archive. */
const WEIGHTS = file(Buffer.alloc(1024), 'application/x-tar')

/** The model as a training runs it: other inputs, times and logs, and a version as its output. */
export function asTraining(model: Model, { destination, version }: Training): Model {
  return {
    ...model,
    inputSchema: model.training?.inputSchema ?? {},
    runSeconds: model.training?.runSeconds ?? [60, 120],
    output: { kind: 'json', value: { version: `${destination}:${version}`, weights: WEIGHTS }, template: false },
    logs: LOGS,
    metrics: {},
    price: { per: 'second', usd: 0.0015 },
  }
}

const STEPS = 10
const LOGS = [
  'Downloading the training data',
  ...Array.from({ length: STEPS }, (_, step) => {
    const done = (step + 1) / STEPS
    const bar = '█'.repeat(Math.round(done * 10)).padEnd(10)
    return `${String(Math.round(done * 100)).padStart(3)}%|${bar}| ${step + 1}/${STEPS}`
  }),
  'Saving the weights',
]
