import type { SeededRandom } from '../seeded-random.ts'
import { type Colour, css } from './colour.ts'

/** SVG elements and natural-looking lines. */

export interface Point {
  x: number
  y: number
}

export type Stop = [offset: number, colour: Colour, opacity?: number]

const n = (value: number) => (Math.round(value * 10) / 10).toString()

/** Collects the gradients, which precede everything else. */
export class Palette {
  private readonly definitions: string[] = []

  linear(stops: readonly Stop[], angle: 'down' | 'across' = 'down'): string {
    const direction = angle === 'down' ? 'x2="0" y2="1"' : 'x2="1" y2="0"'
    return this.add((id) => `<linearGradient id="${id}" x1="0" y1="0" ${direction}>${stopsOf(stops)}</linearGradient>`)
  }

  radial(stops: readonly Stop[], centre: Point = { x: 0.5, y: 0.5 }, r = 0.5): string {
    return this.add(
      (id) =>
        `<radialGradient id="${id}" cx="${centre.x}" cy="${centre.y}" r="${r}">${stopsOf(stops)}</radialGradient>`,
    )
  }

  blur(amount: number): string {
    return this.add(
      (id) =>
        `<filter id="${id}" x="-50%" y="-50%" width="200%" height="200%"><feGaussianBlur stdDeviation="${n(amount)}"/></filter>`,
    )
  }

  toString(): string {
    return `<defs>${this.definitions.join('')}</defs>`
  }

  private add(definition: (id: string) => string): string {
    const id = `d${this.definitions.length}`
    this.definitions.push(definition(id))
    return `url(#${id})`
  }
}

const stopsOf = (stops: readonly Stop[]) =>
  stops
    .map(
      ([offset, tint, opacity = 1]) => `<stop offset="${offset}" stop-color="${css(tint)}" stop-opacity="${opacity}"/>`,
    )
    .join('')

export const paint = (fill: Colour | string) => (typeof fill === 'string' ? fill : css(fill))

export const rect = (x: number, y: number, width: number, height: number, fill: Colour | string, opacity = 1) =>
  `<rect x="${n(x)}" y="${n(y)}" width="${n(Math.max(0, width))}" height="${n(Math.max(0, height))}" fill="${paint(fill)}"${faint(opacity)}/>`

export const circle = (at: Point, r: number, fill: Colour | string, opacity = 1) => ellipse(at, r, r, fill, opacity)

export const ellipse = (at: Point, rx: number, ry: number, fill: Colour | string, opacity = 1, turn = 0) =>
  `<ellipse cx="${n(at.x)}" cy="${n(at.y)}" rx="${n(rx)}" ry="${n(ry)}" fill="${paint(fill)}"${faint(opacity)}${turn === 0 ? '' : ` transform="rotate(${n(turn)} ${n(at.x)} ${n(at.y)})"`}/>`

export const shape = (d: string, fill: Colour | string, opacity = 1) =>
  `<path d="${d}" fill="${paint(fill)}"${faint(opacity)}/>`

export const stroke = (d: string, tint: Colour | string, width: number, opacity = 1) =>
  `<path d="${d}" fill="none" stroke="${paint(tint)}" stroke-width="${n(width)}" stroke-linecap="round" stroke-linejoin="round"${faint(opacity)}/>`

export const group = (content: string, attributes: string) => `<g ${attributes}>${content}</g>`

/** Places a drawing of a 100 by 100 box with its bottom centre at a point. */
export const placed = (content: string, at: Point, size: number, mirrored = false) =>
  group(
    content,
    `transform="translate(${n(at.x)} ${n(at.y)}) scale(${((mirrored ? -1 : 1) * size) / 100} ${size / 100}) translate(-50 -100)"`,
  )

const faint = (opacity: number) => (opacity === 1 ? '' : ` opacity="${Math.round(opacity * 1000) / 1000}"`)

export const polygon = (points: readonly Point[]) => `M${points.map(({ x, y }) => `${n(x)} ${n(y)}`).join('L')}Z`

/** A soft line through the points. */
export function curve(points: readonly Point[]): string {
  const [first = { x: 0, y: 0 }, ...rest] = points
  let d = `M${n(first.x)} ${n(first.y)}`
  for (const [i, at] of rest.entries()) {
    const next = rest[i + 1] ?? at
    d += `Q${n(at.x)} ${n(at.y)} ${n((at.x + next.x) / 2)} ${n((at.y + next.y) / 2)}`
  }
  return d
}

/** Closes a line downwards. */
export const downTo = (line: string, width: number, bottom: number) =>
  `${line}L${n(width)} ${n(bottom)}L0 ${n(bottom)}Z`

/** A jagged line across the picture by halving: rough for mountains, smooth for hills. */
export function ridge(random: SeededRandom, width: number, base: number, rise: number, roughness: number): Point[] {
  let heights = [
    random.between(0.1, 0.6),
    random.between(0.5, 1),
    random.between(0.1, 0.7),
    random.between(0.3, 1),
    random.between(0.1, 0.6),
  ]
  let swing = 0.36
  for (let level = 0; level < 6; level++) {
    const finer: number[] = []
    for (const [i, height] of heights.entries()) {
      const next = heights[i + 1]
      finer.push(height)
      if (next !== undefined) finer.push((height + next) / 2 + random.between(-swing, swing))
    }
    heights = finer
    swing *= roughness
  }
  const last = heights.length - 1
  return heights.map((height, i) => ({ x: (i / last) * width, y: base - Math.max(-0.05, height) * rise }))
}

/** Long, gentle waves of land. */
export function hills(random: SeededRandom, width: number, base: number, rise: number, count = 3): Point[] {
  const phase = random.between(0, 6)
  const second = random.between(0, 6)
  const bends = random.between(0.7, 1.2) * count
  return Array.from({ length: 25 }, (_, i) => {
    const x = i / 24
    const wave = Math.sin(x * bends * 2 + phase) * 0.6 + Math.sin(x * bends * 3.7 + second) * 0.4
    return { x: x * width, y: base - (wave * 0.5 + 0.5) * rise }
  })
}

/** The height of a line of points at x. */
export function heightAt(points: readonly Point[], x: number): number {
  const after = points.findIndex((point) => point.x >= x)
  const [a, b] = [points[Math.max(0, after - 1)], points[Math.max(0, after)]]
  if (a === undefined || b === undefined) return 0
  return b.x === a.x ? b.y : a.y + ((b.y - a.y) * (x - a.x)) / (b.x - a.x)
}

export const repeat = (count: number, draw: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => draw(i)).join('')
