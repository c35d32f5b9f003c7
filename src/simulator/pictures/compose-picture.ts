import { seededRandom } from '../seeded-random.ts'
import { Palette } from './brush.ts'
import { abstract, animal, portrait, stillLife } from './figures.ts'
import { desert, forest, meadow, mountains, sea } from './landscapes.ts'
import { moodOf } from './mood.ts'
import { city, space } from './places.ts'
import { readPrompt, type Scene } from './read-prompt.ts'
import { type Stage, vignette } from './scenery.ts'

export interface Canvas {
  prompt: string
  seed: number
  width: number
  height: number
}

const SCENES: Record<Scene, (stage: Stage) => string> = {
  mountain: mountains,
  sea,
  forest,
  desert,
  city,
  meadow,
  space,
  'still life': stillLife,
  portrait,
  animal,
  abstract,
}

/**
 * A picture as SVG: the prompt's words choose scene, hour and colours; the seed chooses everything else. Draws no text
 * (a machine may have no fonts), so the prompt never becomes markup.
 */
export function composePicture({ prompt, seed, width, height }: Canvas): string {
  const random = seededRandom('picture', prompt, seed)
  const wish = readPrompt(prompt)
  const mood = moodOf(wish, random)
  const palette = new Palette()
  const stage: Stage = { random, palette, mood, wish, width, height, unit: Math.min(width, height) }
  const content = `${SCENES[wish.scene](stage)}${vignette(stage)}`
  const size = `width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size}>${palette.toString()}${content}</svg>`
}
