import type { Model } from './models/model.ts'
import type { Prediction } from './prediction.ts'

/** The files that a run makes: their names, types and sizes follow from the model and the input. */

const CONTENT_TYPES = { webp: 'image/webp', jpg: 'image/jpeg', png: 'image/png', mp4: 'video/mp4' } as const
export type FileFormat = keyof typeof CONTENT_TYPES

export const contentTypeOf = (format: FileFormat): string => CONTENT_TYPES[format]

/** `out-0.webp`, `out-1.webp`, …; none for a run that makes text or values. */
export function fileNames({ input }: Prediction, { output }: Model): string[] {
  if (output.kind === 'restoration') return [`out-0.${restoredFormat(input)}`]
  if (output.kind === 'film') return ['out-0.mp4']
  if (output.kind !== 'pictures') return []
  const count = typeof input['num_outputs'] === 'number' ? input['num_outputs'] : 1
  return Array.from({ length: count }, (_, i) => `out-${i}.${pictureFormat(input)}`)
}

/** Whether the output is one URL, not an array. */
export const isSingleFile = ({ output }: Model): boolean =>
  output.kind === 'restoration' || output.kind === 'film' || (output.kind === 'pictures' && output.single)

export function pictureFormat(input: Record<string, unknown>): 'webp' | 'jpg' | 'png' {
  const wanted = input['output_format']
  return wanted === 'jpg' || wanted === 'jpeg' ? 'jpg' : wanted === 'png' ? 'png' : 'webp'
}

export const restoredFormat = (input: Record<string, unknown>): 'jpg' | 'png' =>
  input['output_format'] === 'jpg' ? 'jpg' : 'png'

/** The seed that was asked for, else the one that the run was given. */
export function seedOf({ input, seed }: Prediction): number {
  return typeof input['seed'] === 'number' ? input['seed'] : seed
}

/** The fields of the input that name files which the model must have, and what each must be. */
export function inputFields({ output }: Model): { field: string; what: 'image' | 'sound' }[] {
  if (output.kind === 'restoration') return [{ field: output.image, what: 'image' }]
  if (output.kind !== 'film') return []
  return [
    { field: output.image, what: 'image' },
    { field: output.audio, what: 'sound' },
  ]
}

/** Of the videos that we make. */
export const FRAMES_PER_SECOND = 16
const SECONDS_WITHOUT_HEADER = 5
const MAXIMUM_SECONDS = 20

/** How many frames a film has: as long as its sound, from 1 to 20 seconds. */
export function frameCount({ inputs }: Prediction, { output }: Model): number {
  const audio = output.kind === 'film' ? inputs?.[output.audio] : undefined
  const seconds = Math.min(MAXIMUM_SECONDS, Math.max(1, audio?.seconds ?? SECONDS_WITHOUT_HEADER))
  return Math.round(seconds * FRAMES_PER_SECOND)
}
