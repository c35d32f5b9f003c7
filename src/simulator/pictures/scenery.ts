import type { SeededRandom } from '../seeded-random.ts'
import { type Colour, colour, lighter, mix } from './colour.ts'
import {
  circle,
  curve,
  ellipse,
  group,
  type Palette,
  type Point,
  polygon,
  rect,
  repeat,
  shape,
  stroke,
} from './brush.ts'
import type { Mood } from './mood.ts'
import type { Wish } from './read-prompt.ts'

/** The drawing context. */
export interface Stage {
  random: SeededRandom
  palette: Palette
  mood: Mood
  wish: Wish
  width: number
  height: number
  /** The shorter side: the unit of sizes. */
  unit: number
}

/** The sky above the horizon, with sun, moon and stars. */
export function sky(stage: Stage, light: Point, size = 0.09): string {
  const { palette, mood, width, height } = stage
  const [top, middle, bottom] = mood.sky
  const air = palette.linear([
    [0, top],
    [0.45, middle],
    [0.8, bottom],
  ])
  const base = rect(0, 0, width, height, air)
  return mood.isDark
    ? `${base}${stars(stage, 170)}${aurora(stage)}${moon(stage, light, size)}${clouds(stage, 2)}`
    : `${base}${sun(stage, light, size)}${clouds(stage, 5)}`
}

function sun({ palette, mood, unit }: Stage, at: Point, size: number): string {
  const glow = palette.radial([
    [0, mood.light, 0.95],
    [0.25, mood.light, 0.45],
    [1, mood.light, 0],
  ])
  return `${circle(at, unit * size * 6, glow)}${circle(at, unit * size, mood.light, mood.hour === 'storm' ? 0.5 : 0.96)}`
}

function moon(stage: Stage, at: Point, size: number): string {
  const { palette, mood, unit } = stage
  const r = unit * size * 0.85
  if (mood.hour === 'neon') return stripedSun(stage, at, r * 2.4)
  const face = palette.radial(
    [
      [0, lighter(mood.light, 0.03)],
      [0.75, mood.light],
      [1, lighter(mood.light, -0.12)],
    ],
    { x: 0.4, y: 0.4 },
  )
  const spots = [
    [-0.3, -0.2, 0.22],
    [0.25, 0.3, 0.16],
    [0.3, -0.35, 0.1],
    [-0.2, 0.4, 0.12],
  ] as const
  return [
    circle(
      at,
      r * 6,
      palette.radial([
        [0, mood.light, 0.4],
        [0.3, mood.light, 0.14],
        [1, mood.light, 0],
      ]),
    ),
    circle(at, r, face),
    ...spots.map(([x, y, s]) => circle({ x: at.x + x * r, y: at.y + y * r }, r * s, lighter(mood.light, -0.14), 0.4)),
  ].join('')
}

/** A retro striped sun. */
function stripedSun({ palette, mood }: Stage, at: Point, r: number): string {
  const face = palette.linear([
    [0, colour(0.92, 0.15, 95)],
    [0.5, colour(0.74, 0.2, 45)],
    [1, colour(0.6, 0.25, 0)],
  ])
  const stripes = repeat(6, (i) => {
    const y = at.y + r * (0.05 + i * 0.16)
    return rect(at.x - r, y, 2 * r, r * (0.015 + i * 0.016), mood.sky[1], 0.9)
  })
  return `${circle(
    at,
    r * 2.6,
    palette.radial([
      [0, colour(0.7, 0.22, 350), 0.6],
      [1, colour(0.6, 0.2, 330), 0],
    ]),
  )}${circle(at, r, face)}${stripes}`
}

export function stars({ random, width, height, unit, mood }: Stage, count: number): string {
  return repeat(count, () => {
    const at = { x: random.between(0, width), y: random.next() ** 1.5 * height * 0.75 }
    const big = random.chance(0.07)
    const r = unit * (big ? random.between(0.0018, 0.0032) : random.between(0.0006, 0.0014))
    return circle(at, r, lighter(mood.light, 0.05), random.between(0.35, 1))
  })
}

function aurora({ random, palette, width, height, wish, mood }: Stage): string {
  if (!wish.has(/\b(aurora|northern lights|arctic)\b/) || mood.hour === 'neon') return ''
  return repeat(4, (i) => {
    const hue = random.pick([150, 165, 190, 300])
    const fill = palette.linear([
      [0, colour(0.8, 0.16, hue), 0],
      [0.75, colour(0.85, 0.19, hue), 0.5],
      [1, colour(0.85, 0.19, hue), 0],
    ])
    const y = height * (0.12 + i * 0.07)
    const line = Array.from({ length: 9 }, (_, k) => ({
      x: (k / 8) * width * 1.1 - width * 0.05,
      y: y + random.between(-0.05, 0.05) * height,
    }))
    const back = line.map((point) => ({ x: point.x, y: point.y + height * random.between(0.16, 0.28) })).toReversed()
    return shape(`${curve(line)}${curve(back).replace('M', 'L')}Z`, fill)
  })
}

/** Flat-bottomed cumulus clouds. */
export function clouds({ random, mood, width, height, unit, palette }: Stage, count: number): string {
  const tint = mix(mood.sky[2], colour(1, 0, 0), mood.isDark ? 0.08 : 0.65)
  const heavy = mood.hour === 'storm' ? 2 : 1
  const fill = palette.linear([
    [0, mood.hour === 'storm' ? lighter(mood.sky[1], -0.04) : tint],
    [1, mix(tint, mood.sky[1], 0.75)],
  ])
  return repeat(count * heavy, () => {
    const at = { x: random.between(-0.05, 1.05) * width, y: random.between(0.06, 0.36) * height }
    const size = unit * random.between(0.05, 0.13) * heavy
    const puffs = repeat(6, (i) => {
      const x = at.x + (i - 2.5) * size * 0.55
      const grow = 1 - Math.abs(i - 2.5) / 3.6
      return ellipse(
        { x, y: at.y - grow * size * 0.2 },
        size * 0.55 * (0.6 + grow),
        size * (0.16 + 0.3 * grow * random.between(0.6, 1)),
        fill,
      )
    })
    return group(puffs, `opacity="${random.between(0.25, 0.7).toFixed(2)}"`)
  })
}

/** Aerial perspective: 0 is the foreground, 1 the horizon. */
export const atDistance = (mood: Mood, near: Colour, distance: number) => mix(near, mood.haze, distance ** 0.8)

/** A band of mist over everything drawn before it. */
export function mist({ palette, mood, width }: Stage, y: number, thickness: number, opacity: number): string {
  const fill = palette.linear([
    [0, mood.haze, 0],
    [0.5, lighter(mood.haze, 0.03), opacity],
    [1, mood.haze, 0],
  ])
  return rect(0, y - thickness / 2, width, thickness, fill)
}

/** A pine, its foot at a point. */
export function pine(random: SeededRandom, foot: Point, height: number, fill: Colour): string {
  const layers = 6
  const points: Point[] = [{ x: foot.x, y: foot.y - height }]
  const side = (direction: number) =>
    Array.from({ length: layers }, (_, i) => {
      const y = foot.y - height * (1 - (i + 1) / (layers + 0.6))
      const reach = height * 0.2 * ((i + 1) / layers) * random.between(0.8, 1.15)
      return [
        { x: foot.x + direction * reach, y },
        { x: foot.x + direction * reach * 0.5, y: y - height * 0.02 },
      ]
    }).flat()
  const outline = [...points, ...side(1), ...side(-1).toReversed()]
  const trunk = rect(foot.x - height * 0.02, foot.y - height * 0.12, height * 0.04, height * 0.13, lighter(fill, -0.06))
  return `${trunk}${shape(polygon(outline), fill)}`
}

/** A round tree. */
export function tree(random: SeededRandom, foot: Point, height: number, fill: Colour): string {
  const trunk = stroke(
    `M${foot.x} ${foot.y}L${foot.x + height * 0.02} ${foot.y - height * 0.6}`,
    lighter({ ...fill, c: 0.03 }, -0.18),
    height * 0.06,
  )
  const crown = repeat(7, (i) => {
    const angle = (i / 7) * Math.PI * 2
    const at = {
      x: foot.x + Math.cos(angle) * height * 0.2 * random.between(0.7, 1.2),
      y: foot.y - height * 0.68 + Math.sin(angle) * height * 0.17,
    }
    return circle(at, height * random.between(0.15, 0.22), lighter(fill, (-Math.sin(angle) - Math.cos(angle)) * 0.025))
  })
  return `${trunk}${crown}`
}

export function birds({ random, width, height, unit, mood }: Stage, count: number): string {
  const centre = { x: random.between(0.2, 0.75) * width, y: random.between(0.15, 0.35) * height }
  const tint = mix(mood.ground, mood.sky[1], 0.15)
  return repeat(count, () => {
    const [x, y] = [centre.x + random.between(-0.12, 0.12) * unit, centre.y + random.between(-0.06, 0.06) * unit]
    const s = unit * random.between(0.008, 0.018)
    return stroke(
      `M${x - s} ${y - s * 0.5}Q${x - s * 0.4} ${y - s * 0.7} ${x} ${y}Q${x + s * 0.4} ${y - s * 0.7} ${x + s} ${y - s * 0.5}`,
      tint,
      s * 0.16,
    )
  })
}

/** Darkens the corners a little. */
export function vignette({ palette, width, height }: Stage): string {
  const dark = colour(0.1, 0.02, 280)
  const corners = palette.radial(
    [
      [0.55, dark, 0],
      [1, dark, 0.3],
    ],
    { x: 0.5, y: 0.5 },
    0.75,
  )
  return rect(0, 0, width, height, corners)
}
