import { seededRandom } from '../seeded-random.ts'

export interface Canvas {
  prompt: string
  seed: number
  width: number
  height: number
}

export function composePicture({ prompt, seed, width, height }: Canvas): string {
  const random = seededRandom('picture', prompt, seed)
  const hue = Math.floor(random.next() * 360)
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"><defs><linearGradient id="g" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="hsl(${hue},60%,70%)"/><stop offset="1" stop-color="hsl(${(hue + 60) % 360},60%,40%)"/></linearGradient></defs><rect width="100%" height="100%" fill="url(#g)"/></svg>`
}
