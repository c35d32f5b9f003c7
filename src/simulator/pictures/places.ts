import { circle, ellipse, group, paint, type Point, polygon, rect, repeat, ridge, shape, stroke } from './brush.ts'
import { type Colour, colour, lighter, mix } from './colour.ts'
import { atDistance, sky, stars, type Stage } from './scenery.ts'

/** Cities, buildings and remote places. */

export function city(stage: Stage): string {
  const { random, mood, width, height } = stage
  const street = height * 0.84
  const light = { x: random.between(0.25, 0.75) * width, y: height * random.between(0.2, 0.42) }
  const rows = repeat(4, (i) => {
    const distance = 1 - i / 3.3
    const tint = atDistance(mood, lighter(mood.ground, 0.03), distance * 0.85)
    return buildings(stage, street, height * (0.62 - i * 0.11), width * (0.045 + i * 0.014), tint, i)
  })
  return `${sky(stage, light, 0.1)}${rows}${water(stage, street, light)}`
}

function buildings(stage: Stage, street: number, tallest: number, breadth: number, tint: Colour, row: number): string {
  const { random, width, height, mood } = stage
  let drawn = ''
  for (let x = -breadth * random.next(); x < width;) {
    const w = breadth * random.between(0.75, 1.9)
    const centred = 1 - Math.abs(x / width - 0.5) * 0.75
    const tall = tallest * random.between(0.35, 1) * centred
    const top = street - tall
    const body = lighter(tint, random.between(-0.025, 0.025))
    const roof = random.integer(0, 5)
    if (roof === 0) drawn += stroke(`M${x + w / 2} ${top}v${-tall * 0.2}`, body, w * 0.05)
    if (roof === 1)
      drawn += shape(
        polygon([
          { x, y: top + 1 },
          { x: x + w / 2, y: top - w * 0.5 },
          { x: x + w, y: top + 1 },
        ]),
        body,
      )
    if (roof === 2) drawn += rect(x + w * 0.2, top - tall * 0.06, w * 0.6, tall * 0.07, body)
    drawn += rect(x, top, w + 1, height - top, body)
    drawn += rect(x + w * 0.72, top, w * 0.28, tall, colour(0.1, 0.03, 280), 0.13)
    if (row > 0) drawn += windows(stage, { x, y: top }, w, tall, row)
    x += w * random.between(0.92, 1.12)
  }
  return `${drawn}${rect(
    0,
    street - height * 0.14,
    width,
    height * 0.14,
    stage.palette.linear([
      [0, mood.haze, 0],
      [1, mood.haze, 0.4 - row * 0.1],
    ]),
  )}`
}

const WINDOW_LIGHTS = [colour(0.9, 0.11, 85), colour(0.86, 0.13, 70), colour(0.94, 0.06, 95)] as const
const NEON_LIGHTS = [
  colour(0.8, 0.15, 200),
  colour(0.72, 0.24, 345),
  colour(0.85, 0.16, 90),
  colour(0.7, 0.2, 300),
] as const

function windows({ random, mood, unit }: Stage, at: Point, w: number, tall: number, row: number): string {
  const step = unit * (0.011 + row * 0.004)
  const columns = Math.max(1, Math.floor(w / step) - 1)
  const floors = Math.min(34, Math.floor(tall / (step * 1.5)) - 1)
  const litShare = mood.isDark ? 0.42 : mood.hour === 'sunset' || mood.hour === 'storm' ? 0.24 : 0.07
  const lit = random.pick(mood.hour === 'neon' ? NEON_LIGHTS : WINDOW_LIGHTS)
  const glass = mix(mood.sky[1], mood.ground, mood.isDark ? 0.75 : 0.3)
  let bright = ''
  let dark = ''
  for (let floor = 0; floor < floors; floor++) {
    for (let column = 0; column < columns; column++) {
      const box = `M${(at.x + step * (column + 0.75)).toFixed(1)} ${(at.y + step * (floor * 1.5 + 0.8)).toFixed(1)}h${(step * 0.52).toFixed(1)}v${(step * 0.8).toFixed(1)}h${(-step * 0.52).toFixed(1)}z`
      if (random.chance(litShare)) bright += box
      else if (random.chance(0.7)) dark += box
    }
  }
  return `${shape(dark, glass, 0.28)}${shape(bright, lit, 0.9)}`
}

function water({ random, mood, palette, width, height, unit }: Stage, from: number, light: Point): string {
  const fill = palette.linear([
    [0, mix(mood.water, mood.haze, 0.35)],
    [1, lighter(mood.water, -0.14)],
  ])
  const lights = mood.hour === 'neon' ? NEON_LIGHTS : WINDOW_LIGHTS
  const reflections = repeat(mood.isDark ? 70 : 26, () => {
    const x = random.next() * width
    const tall = (height - from) * random.between(0.15, 0.75)
    const tint = random.pick(lights)
    return rect(
      x,
      from + random.between(0, 0.15) * (height - from),
      unit * random.between(0.003, 0.009),
      tall,
      palette.linear([
        [0, tint, 0.55],
        [1, tint, 0],
      ]),
    )
  })
  const glitter = repeat(40, () => {
    const near = random.next()
    const at = { x: light.x + (random.next() - 0.5) * width * (0.06 + near * 0.2), y: from + near * (height - from) }
    return ellipse(at, unit * random.between(0.01, 0.035), unit * 0.0016, mood.light, 0.4)
  })
  return `${rect(0, from, width, height - from, fill)}${reflections}${glitter}${rect(0, from - 1, width, unit * 0.006, mood.ground)}`
}

export function space(stage: Stage): string {
  const { random, mood, width, height, palette, unit, wish } = stage
  const deep = colour(0.13, 0.05, mood.sky[0].h)
  const clouds = repeat(9, (i) => {
    const hue = mood.accent.h + random.pick([0, 40, -40, 90])
    const along = i / 8
    const at = {
      x: width * (along + random.between(-0.15, 0.15)),
      y: height * (0.75 - along * 0.5 + random.between(-0.2, 0.2)),
    }
    const fill = palette.radial([
      [0, colour(0.55, 0.19, hue), 0.5],
      [0.5, colour(0.42, 0.16, hue + 20), 0.2],
      [1, colour(0.3, 0.1, hue), 0],
    ])
    return ellipse(
      at,
      unit * random.between(0.3, 0.6),
      unit * random.between(0.18, 0.36),
      fill,
      1,
      random.between(-50, 10),
    )
  })
  const size = unit * random.between(0.2, 0.3)
  const at = { x: width * random.between(0.34, 0.66), y: height * random.between(0.38, 0.6) }
  const small = { x: (at.x + width * random.pick([0.33, 0.6])) % width, y: height * random.between(0.14, 0.3) }
  const dust = stars(stage, 260) + group(stars(stage, 160), `transform="translate(0 ${height}) scale(1 -1)"`)
  const ship = wish.has(/\brockets?|spaceships?\b/)
    ? rocket(stage, { x: width * 0.2, y: height * 0.72 }, unit * 0.24)
    : ''
  return `${rect(0, 0, width, height, deep)}${clouds}${dust}${planet(stage, small, unit * 0.055, false)}${planet(stage, at, size, random.chance(0.65))}${ship}${wish.has(/\bastronauts?\b/) ? astronautGround(stage) : ''}`
}

function planet({ random, palette, mood }: Stage, at: Point, r: number, ringed: boolean): string {
  const base = colour(random.between(0.6, 0.75), random.between(0.09, 0.16), mood.accent.h + random.between(-50, 50))
  const bands = repeat(9, (i) => {
    const y = at.y - r + (i + random.between(0.1, 0.9)) * (r / 4.5)
    const half = Math.sqrt(Math.max(0, r * r - (y - at.y) ** 2))
    const tint = lighter(colour(base.l, base.c, base.h + random.between(-22, 22)), random.between(-0.12, 0.12))
    return ellipse({ x: at.x, y }, half, r * random.between(0.04, 0.11), tint, 0.55)
  })
  const shadow = palette.radial(
    [
      [0, colour(0.1, 0.03, 280), 0],
      [0.55, colour(0.1, 0.04, 280), 0.1],
      [1, colour(0.06, 0.03, 280), 0.9],
    ],
    { x: 0.32, y: 0.3 },
  )
  const halo = palette.radial([
    [0.6, lighter(base, 0.1), 0.5],
    [1, lighter(base, 0.1), 0],
  ])
  const tilt = random.between(-24, -8)
  const ring = (clip: string) =>
    group(
      [1.55, 1.75, 1.95]
        .map((s, i) => ringPart(at, r * s, clip, lighter({ ...base, c: 0.06 }, 0.1 - i * 0.07), r * 0.12))
        .join(''),
      `transform="rotate(${tilt.toFixed(1)} ${at.x.toFixed(1)} ${at.y.toFixed(1)})"`,
    )
  const body = `${circle(at, r, base)}${group(bands, '')}${circle(at, r * 1.002, shadow)}`
  return `${circle(at, r * 1.35, halo)}${ringed ? ring('back') : ''}${body}${ringed ? ring('front') : ''}`
}

function ringPart(at: Point, rx: number, part: string, tint: Colour, thick: number): string {
  const ry = rx * 0.24
  const sweep = part === 'front' ? 0 : 1
  return `<path d="M${(at.x - rx).toFixed(1)} ${at.y.toFixed(1)}A${rx.toFixed(1)} ${ry.toFixed(1)} 0 0 ${sweep} ${(at.x + rx).toFixed(1)} ${at.y.toFixed(1)}" fill="none" stroke="${paint(tint)}" stroke-width="${thick.toFixed(1)}" opacity="0.75"/>`
}

function rocket({ mood, palette }: Stage, at: Point, size: number): string {
  const s = size / 100
  const flame = palette.linear([
    [0, colour(0.95, 0.12, 95)],
    [0.5, colour(0.75, 0.2, 50), 0.9],
    [1, colour(0.6, 0.22, 30), 0],
  ])
  const body = `${shape('M-11 62Q0 118 11 62Z', flame)}${shape('M-17 30L-34 66L-14 60ZM17 30L34 66L14 60Z', mood.accent)}${shape('M0 -60Q24 -20 17 62L-17 62Q-24 -20 0 -60Z', colour(0.94, 0.01, 240))}${shape('M0 -60Q13 -40 17 -18L-17 -18Q-13 -40 0 -60Z', mood.accent)}${circle({ x: 0, y: 6 }, 9, colour(0.5, 0.12, 240))}${circle({ x: 0, y: 6 }, 6, colour(0.78, 0.1, 220))}`
  return group(body, `transform="translate(${at.x.toFixed(0)} ${at.y.toFixed(0)}) rotate(35) scale(${s.toFixed(3)})"`)
}

function astronautGround(stage: Stage): string {
  const { random, width, height, unit, mood, palette } = stage
  const line = ridge(random, width, height * 0.97, height * 0.12, 0.42)
  const ground = shape(
    `${polygon(line).slice(0, -1)}L${width} ${height}L0 ${height}Z`,
    palette.linear([
      [0, colour(0.5, 0.03, mood.accent.h)],
      [1, colour(0.22, 0.03, 280)],
    ]),
  )
  const white = colour(0.95, 0.005, 240)
  const grey = colour(0.76, 0.015, 250)
  const figure = [
    rect(-24, -62, 48, 50, grey).replace('<rect', '<rect rx="10"'),
    rect(-17, -26, 15, 46, white).replace('<rect', '<rect rx="7"'),
    rect(2, -26, 15, 46, white).replace('<rect', '<rect rx="7"'),
    rect(-19, -66, 38, 50, white).replace('<rect', '<rect rx="14"'),
    rect(-31, -62, 14, 40, white).replace('<rect', '<rect rx="7"'),
    rect(17, -62, 14, 40, white).replace('<rect', '<rect rx="7"'),
    circle({ x: 0, y: -82 }, 23, white),
    ellipse(
      { x: 3, y: -82 },
      16,
      14,
      palette.linear([
        [0, colour(0.35, 0.1, 260)],
        [0.6, mood.accent],
        [1, colour(0.2, 0.05, 270)],
      ]),
    ),
    rect(-9, -48, 18, 12, mood.accent),
  ].join('')
  const scale = (unit * 0.34) / 130
  return `${ground}${group(figure, `transform="translate(${(width * 0.5).toFixed(0)} ${(height * 0.93).toFixed(0)}) scale(${scale.toFixed(3)})"`)}`
}
