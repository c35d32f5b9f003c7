import { contentTypeOfFile, extensionOf } from './models/file-output.ts'
import { type Model, ownFilesOf } from './models/model.ts'
import type { Prediction } from './prediction.ts'

/** The files of a run: names, types and sizes follow from model and input. */

const CONTENT_TYPES = { webp: 'image/webp', jpg: 'image/jpeg', png: 'image/png', mp4: 'video/mp4' } as const
export type FileFormat = keyof typeof CONTENT_TYPES

export const contentTypeOf = (format: FileFormat): string => CONTENT_TYPES[format]

/** `out-0.webp`, `out-1.webp`, …; none for a run that produces text or values. */
export function fileNames({ input }: Prediction, { output }: Model): string[] {
  if (output.kind === 'restoration') return [`out-0.${restoredFormat(input)}`]
  if (output.kind === 'film') return ['out-0.mp4']
  if (output.kind !== 'pictures') {
    return ownFilesOf(output).map((source, i) => `out-${i}.${extensionOf(contentTypeOfFile(source))}`)
  }
  const count = typeof input['num_outputs'] === 'number' ? input['num_outputs'] : 1
  return Array.from({ length: count }, (_, i) => `out-${i}.${pictureFormat(input)}`)
}

/** Whether the output is one URL, not an array. */
export const isSingleFile = ({ output }: Model): boolean =>
  output.kind === 'restoration' ||
  output.kind === 'film' ||
  ((output.kind === 'pictures' || output.kind === 'files') && output.single)

export function pictureFormat(input: Record<string, unknown>): 'webp' | 'jpg' | 'png' {
  const wanted = input['output_format']
  return wanted === 'jpg' || wanted === 'jpeg' ? 'jpg' : wanted === 'png' ? 'png' : 'webp'
}

export const restoredFormat = (input: Record<string, unknown>): 'jpg' | 'png' =>
  input['output_format'] === 'jpg' ? 'jpg' : 'png'

/** The requested seed, else the run's own. */
export function seedOf({ input, seed }: Prediction): number {
  return typeof input['seed'] === 'number' ? input['seed'] : seed
}

/** The input fields with required files, and the kind of each. */
export function inputFields({ output }: Model): { field: string; what: 'image' | 'sound' }[] {
  if (output.kind === 'restoration') return [{ field: output.image, what: 'image' }]
  if (output.kind !== 'film') return []
  return [
    { field: output.image, what: 'image' },
    { field: output.audio, what: 'sound' },
  ]
}

/** Properties of the videos. */
export const FRAMES_PER_SECOND = 16
const SECONDS_WITHOUT_HEADER = 5
const MAXIMUM_SECONDS = 20

/** Frames of a film: as long as its sound, from 1 to 20 seconds. */
export function frameCount({ inputs }: Prediction, { output }: Model): number {
  const audio = output.kind === 'film' ? inputs?.[output.audio] : undefined
  const seconds = Math.min(MAXIMUM_SECONDS, Math.max(1, audio?.seconds ?? SECONDS_WITHOUT_HEADER))
  return Math.round(seconds * FRAMES_PER_SECOND)
}
