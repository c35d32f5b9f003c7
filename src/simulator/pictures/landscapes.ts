import {
  circle,
  curve,
  downTo,
  ellipse,
  group,
  heightAt,
  hills,
  type Point,
  polygon,
  rect,
  repeat,
  ridge,
  shape,
  stroke,
} from './brush.ts'
import { type Colour, colour, css, lighter, mix } from './colour.ts'
import { atDistance, birds, mist, pine, sky, type Stage, tree } from './scenery.ts'

/** Land, from the horizon to the foreground. */

const lightAt = ({ random, width, height }: Stage, low: number, high: number): Point => ({
  x: random.between(0.2, 0.8) * width,
  y: random.between(low, high) * height,
})

export function mountains(stage: Stage): string {
  const { random, mood, width, height, palette } = stage
  const hasLake = random.chance(0.5) || stage.wish.has(/\b(lake|reflection)\b/)
  const shore = height * (hasLake ? 0.74 : 0.98)
  const layers = repeat(4, (i) => {
    const distance = 1 - i / 3.4
    const base = shore - height * 0.02 + (hasLake ? 0 : (i - 3) * height * 0.03)
    const rise = height * (0.44 - i * 0.085) * random.between(0.9, 1.15)
    const line = ridge(random, width, base, rise, 0.5)
    const near = atDistance(mood, i === 3 ? mood.green : mix(mood.ground, mood.sky[0], 0.35), distance)
    const body = palette.linear([
      [0, i < 2 ? lighter(near, mood.isDark ? 0.06 : 0.02) : near],
      [1, mix(near, mood.haze, 0.45)],
    ])
    const snow = i < 2 && mood.hour !== 'autumn' ? snowOn(stage, line, base, rise, near) : ''
    return `${shape(`${polygon(line).slice(0, -1)}L${width} ${height}L0 ${height}Z`, body)}${snow}${mist(stage, base - height * 0.02, height * 0.16, 0.35)}`
  })
  const front = hasLake ? lake(stage, shore) : ''
  return `${sky(stage, lightAt(stage, 0.16, 0.34))}${birds(stage, random.integer(0, 6))}${layers}${front}${pineBank(stage)}`
}

/** The upper part of a ridge, torn at its lower edge. */
function snowOn({ random, mood }: Stage, line: Point[], base: number, rise: number, rock: Colour): string {
  const limit = base - rise * 0.62
  const white = mix(colour(0.97, 0.01, 240), mood.haze, mood.isDark ? 0.55 : 0.18)
  let patch: Point[] = []
  const patches: Point[][] = []
  for (const at of line) {
    if (at.y < limit) patch.push(at)
    else if (patch.length > 0) {
      patches.push(patch)
      patch = []
    }
  }
  if (patch.length > 0) patches.push(patch)
  return patches
    .filter((points) => points.length > 2)
    .map((points) => {
      const torn = points.filter((_, i) => i % 3 === 0 || i === points.length - 1)
      const under = torn.toReversed().map((at, i) => {
        const depth = (limit - at.y) * (i % 2 === 0 ? random.between(0.75, 1) : random.between(0.3, 0.55))
        return { x: at.x + random.between(-2, 2), y: at.y + Math.max(2, depth) }
      })
      const shade = [...points.slice(Math.floor(points.length / 2)), ...under.slice(0, Math.ceil(under.length / 2))]
      return `${shape(polygon([...points, ...under]), white)}${shape(polygon(shade), mix(white, rock, 0.5), 0.45)}`
    })
    .join('')
}

function lake({ random, mood, palette, width, height }: Stage, shore: number): string {
  const water = palette.linear([
    [0, mix(mood.haze, mood.sky[2], 0.5)],
    [0.25, mix(mood.water, mood.sky[1], 0.4)],
    [1, mood.water],
  ])
  const ripples = repeat(46, () => {
    const y = shore + random.next() ** 1.6 * (height - shore)
    const length = width * random.between(0.02, 0.12) * (0.4 + (y - shore) / (height - shore))
    return rect(
      random.between(-0.05, 1) * width,
      y,
      length,
      height * 0.0022,
      lighter(mood.sky[2], 0.02),
      random.between(0.12, 0.4),
    )
  })
  return `${rect(0, shore, width, height - shore, water)}${ripples}`
}

function pineBank(stage: Stage): string {
  const { random, mood, width, height } = stage
  const bank = hills(random, width, height * 1.02, height * 0.13, 2)
  const dark = mood.ground
  const trees = repeat(26, () => {
    const x = random.between(-0.02, 1.02) * width
    if (Math.abs(x / width - 0.5) < 0.2 && random.chance(0.7)) return ''
    return pine(
      random,
      { x, y: heightAt(bank, x) + height * 0.012 },
      height * random.between(0.08, 0.21),
      lighter(dark, random.between(-0.02, 0.03)),
    )
  })
  return `${trees}${shape(downTo(curve(bank), width, height), dark)}`
}

export function forest(stage: Stage): string {
  const { random, mood, width, height, palette, wish } = stage
  const leafy = mood.hour === 'autumn' || wish.has(/\b(jungle|rainforest|oak|birch)\b/)
  const light = lightAt(stage, 0.18, 0.3)
  const rows = repeat(5, (i) => {
    const distance = 1 - i / 4
    const y = height * (0.56 + i * 0.105)
    const fill = atDistance(mood, i > 2 ? mix(mood.green, mood.ground, (i - 2) * 0.38) : mood.green, distance * 0.92)
    const line = hills(random, width, y, height * 0.06, 2)
    const size = height * (0.2 + i * 0.075)
    const trees = repeat(Math.round(20 - i * 2.6), (k) => {
      const x = ((k + random.between(-0.3, 0.3)) / (19 - i * 2.6)) * width * 1.04
      if (i > 2 && Math.abs(x - width * 0.5) < width * 0.17) return ''
      const foot = { x, y: heightAt(line, Math.min(width, Math.max(0, x))) + height * 0.03 }
      const tall = size * random.between(0.7, 1.2)
      const tint = lighter(colour(fill.l, fill.c, fill.h + random.between(-12, 12)), random.between(-0.03, 0.03))
      return leafy ? tree(random, foot, tall * 0.9, tint) : pine(random, foot, tall, tint)
    })
    return `${trees}${shape(downTo(curve(line), width, height), fill)}${mist(stage, y + height * 0.03, height * 0.2, 0.3 * distance)}`
  })
  const rays = mood.isDark ? '' : sunRays(stage, light)
  return `${sky(stage, light, 0.07)}${rows}${rays}${trail(stage)}${palette ? grass(stage, 0.95, mix(mood.ground, mood.green, 0.25)) : ''}`
}

function sunRays({ random, mood, palette, width, height }: Stage, from: Point): string {
  const beam = palette.linear([
    [0, mood.light, 0.32],
    [1, mood.light, 0],
  ])
  return repeat(7, (i) => {
    const x = from.x + (i - 3) * width * random.between(0.1, 0.16)
    const spread = width * random.between(0.025, 0.06)
    return shape(
      polygon([
        { x: from.x, y: from.y },
        { x: x - spread, y: height * 0.95 },
        { x: x + spread, y: height * 0.95 },
      ]),
      beam,
    )
  })
}

function trail({ random, mood, width, height }: Stage): string {
  const bend = random.between(-0.08, 0.08) * width
  const middle = width / 2
  const tint = mix(mood.haze, mood.ground, 0.35)
  const d = `M${middle - width * 0.2} ${height}Q${middle - width * 0.06 + bend} ${height * 0.9} ${middle - width * 0.008} ${height * 0.82}L${middle + width * 0.008} ${height * 0.82}Q${middle + width * 0.08 + bend} ${height * 0.9} ${middle + width * 0.17} ${height}Z`
  return shape(d, tint, 0.5)
}

export function grass({ random, width, height, unit }: Stage, from: number, tint: Colour, count = 150): string {
  return repeat(count, () => {
    const x = random.between(0, 1) * width
    const y = height * random.between(from, 1.03)
    const tall = unit * random.between(0.02, 0.055)
    const lean = random.between(-0.4, 0.4) * tall
    return stroke(
      `M${x.toFixed(0)} ${y.toFixed(0)}q${(lean * 0.2).toFixed(1)} ${(-tall * 0.6).toFixed(1)} ${lean.toFixed(1)} ${(-tall).toFixed(1)}`,
      lighter(tint, random.between(-0.06, 0.08)),
      unit * 0.003,
    )
  })
}

export function desert(stage: Stage): string {
  const { random, mood, width, height, palette } = stage
  const sand = mood.isDark ? mix(mood.haze, colour(0.5, 0.08, 60), 0.4) : colour(0.76, 0.11, 66)
  const far = ridge(random, width, height * 0.64, height * 0.14, 0.42)
  const mesas = shape(
    `${polygon(far).slice(0, -1)}L${width} ${height}L0 ${height}Z`,
    mix(mood.haze, colour(0.5, 0.12, 35), 0.35),
  )
  const dunes = repeat(4, (i) => {
    const base = height * (0.68 + i * 0.105)
    const line = hills(random, width, base, height * (0.09 + i * 0.028), 1.3)
    const near = mix(mix(sand, mood.haze, 0.55 - i * 0.17), mood.ground, i * 0.07)
    const lit = palette.linear([
      [0, lighter(near, 0.09)],
      [0.5, near],
      [1, lighter(near, -0.1)],
    ])
    return `${shape(downTo(curve(line), width, height), lit)}${wind(stage, line, near)}`
  })
  const plants = repeat(random.integer(1, 4), (i) => {
    const near = random.between(0, 1)
    const foot = { x: random.between(0.06, 0.94) * width, y: height * (0.83 + near * 0.13) }
    return cactus(
      stage,
      foot,
      height * (0.1 + near * 0.16) * (i === 0 ? 1.2 : 0.8),
      mix(mood.ground, colour(0.42, 0.09, 150), mood.isDark ? 0.2 : 0.6),
    )
  })
  return `${sky(stage, lightAt(stage, 0.24, 0.42), 0.12)}${birds(stage, random.integer(0, 4))}${mesas}${dunes}${plants}`
}

/** The lines that the wind draws on a dune: they follow its crest. */
function wind({ random, unit, height }: Stage, crest: Point[], near: Colour): string {
  return repeat(7, (i) => {
    const from = random.integer(0, 14)
    const part = crest.slice(from, from + random.integer(5, 10))
    const below = height * (0.012 + i * 0.011)
    const line = part.map(({ x, y }) => ({ x, y: y + below }))
    return stroke(curve(line), lighter(near, i % 2 === 0 ? 0.07 : -0.07), unit * 0.0025, 0.4)
  })
}

function cactus({ random }: Stage, foot: Point, tall: number, fill: Colour): string {
  const w = tall * 0.16
  const arm = (side: number, at: number, up: number) =>
    stroke(`M${foot.x} ${foot.y - tall * at}h${side * tall * 0.2}v${-tall * up}`, fill, w * 0.72)
  const body = stroke(`M${foot.x} ${foot.y}V${foot.y - tall}`, fill, w)
  const shine = stroke(
    `M${foot.x - w * 0.18} ${foot.y - tall * 0.08}V${foot.y - tall * 0.95}`,
    lighter(fill, 0.08),
    w * 0.14,
  )
  const shadow = ellipse(
    { x: foot.x + tall * 0.25, y: foot.y + w * 0.3 },
    tall * 0.36,
    w * 0.32,
    colour(0.2, 0.03, 300),
    0.25,
  )
  return `${shadow}${body}${arm(1, random.between(0.35, 0.5), random.between(0.2, 0.35))}${arm(-1, random.between(0.3, 0.5), random.between(0.2, 0.3))}${shine}`
}

export function meadow(stage: Stage): string {
  const { random, mood, width, height, unit } = stage
  const back = repeat(3, (i) => {
    const line = hills(random, width, height * (0.6 + i * 0.1), height * 0.12, 2)
    const fill = atDistance(mood, lighter(mood.green, 0.04 - i * 0.04), 0.8 - i * 0.36)
    const trees =
      i > 1
        ? ''
        : repeat(7, () => {
            const x = random.between(0, 1) * width
            return tree(
              random,
              { x, y: heightAt(line, x) + 2 },
              height * random.between(0.05, 0.09),
              lighter(fill, -0.07),
            )
          })
    return `${trees}${shape(downTo(curve(line), width, height), fill)}`
  })
  const far = repeat(240, () => {
    const depth = random.next()
    const at = { x: random.between(0, 1) * width, y: height * (0.76 + depth * 0.17) }
    return circle(at, unit * (0.0025 + depth * 0.006), petalTint(stage), 0.9)
  })
  const near = repeat(random.integer(9, 13), (i) => {
    const at = { x: ((i + random.between(0.1, 0.9)) / 12) * width, y: height * random.between(0.62, 0.86) }
    return flower(stage, at, unit * random.between(0.04, 0.085))
  })
  return `${sky(stage, lightAt(stage, 0.14, 0.3), 0.07)}${back}${far}${grass(stage, 0.84, mix(mood.green, mood.ground, 0.45), 260)}${near}`
}

function petalTint({ random, mood }: Stage): Colour {
  const hue = mood.accent.h + random.pick([0, 0, 0, 25, -25, -45])
  const white = random.chance(0.15)
  return white
    ? colour(0.96, 0.01, 90)
    : colour(Math.min(0.84, mood.accent.l + random.between(-0.06, 0.12)), Math.max(0.1, mood.accent.c), hue)
}

export function flower(stage: Stage, head: Point, size: number): string {
  const { random, mood, height, palette } = stage
  const tint = petalTint(stage)
  const stem = mix(mood.green, mood.ground, 0.4)
  const foot = head.x + random.between(-0.6, 0.6) * size
  const petals = random.integer(6, 11)
  const start = random.between(0, 60)
  const fill = palette.linear([
    [0, lighter(tint, 0.07)],
    [1, lighter(tint, -0.1)],
  ])
  const ring = repeat(petals, (i) => {
    const turn = start + (i / petals) * 360
    return ellipse({ x: head.x, y: head.y - size * 0.56 }, size * 0.27, size * 0.52, fill).replace(
      '/>',
      ` transform="rotate(${turn.toFixed(1)} ${head.x.toFixed(1)} ${head.y.toFixed(1)})"/>`,
    )
  })
  const leafAt = { x: (head.x + foot) / 2 + size * 0.4, y: (head.y + height) / 2 }
  return [
    stroke(`M${foot} ${height}Q${head.x} ${(head.y + height) / 2} ${head.x} ${head.y}`, stem, size * 0.1),
    ellipse(leafAt, size * 0.55, size * 0.16, stem, 1, -30),
    ring,
    circle(head, size * 0.27, colour(0.8, 0.16, 82)),
    circle({ x: head.x + size * 0.05, y: head.y + size * 0.05 }, size * 0.18, colour(0.62, 0.14, 62), 0.7),
  ].join('')
}

export function sea(stage: Stage): string {
  const { random, mood, width, height, wish } = stage
  const horizon = height * random.between(0.5, 0.6)
  const light = { x: random.between(0.25, 0.75) * width, y: horizon - height * random.between(0.06, 0.3) }
  const islands = repeat(random.integer(0, 2), (i) => {
    const line = ridge(random, width * random.between(0.3, 0.5), 0, height * 0.1, 0.5)
    const [first, last] = [line[0] ?? light, line.at(-1) ?? light]
    const body = polygon([
      { x: first.x, y: 0 },
      ...line.map(({ x, y }, k) => ({ x, y: y * Math.sin((k / line.length) * Math.PI) })),
      { x: last.x, y: 0 },
    ])
    return group(
      shape(body, atDistance(mood, mood.ground, 0.75 - i * 0.2)),
      `transform="translate(${(random.between(-0.1, 0.8) * width).toFixed(0)} ${horizon.toFixed(0)})"`,
    )
  })
  const hasLighthouse = wish.has(/\blighthouse\b/)
  const cliffs = hasLighthouse || random.chance(0.3) ? headland(stage, horizon, hasLighthouse) : ''
  const boat =
    wish.has(/\b(boats?|ships?|sail\w*|yachts?)\b/) || (!hasLighthouse && random.chance(0.5))
      ? sailboat(stage, horizon)
      : ''
  const flock = birds(stage, random.integer(0, 6))
  return `${sky(stage, light, 0.085)}${flock}${islands}${waterBelow(stage, horizon, light)}${boat}${cliffs}`
}

function waterBelow(stage: Stage, horizon: number, light: Point): string {
  const { random, mood, palette, width, height } = stage
  const depth = height - horizon
  const water = palette.linear([
    [0, mix(mood.water, mood.sky[2], 0.6)],
    [0.2, mix(mood.water, mood.sky[1], 0.35)],
    [1, lighter(mood.water, -0.12)],
  ])
  const swell = repeat(9, (i) => {
    const near = (i + 1) / 9
    const y = horizon + depth * near ** 1.7
    const line = hills(random, width, y + depth * 0.06 * near, depth * 0.075 * near, 2 + (1 - near) * 5)
    return shape(downTo(curve(line), width, height), lighter(mood.water, -0.02 - near * 0.1), 0.2)
  })
  const glitter = repeat(90, () => {
    const near = random.next() ** 1.4
    const spread = width * (0.025 + near * 0.13)
    const x = light.x + (random.next() + random.next() - 1) * spread
    const long = width * (0.008 + near * 0.035) * random.between(0.5, 1.4)
    return ellipse(
      { x, y: horizon + depth * near },
      long,
      depth * (0.002 + near * 0.006),
      mood.light,
      random.between(0.2, 0.8) * (1 - near * 0.55),
    )
  })
  const foam = repeat(50, () => {
    const near = random.next() ** 1.2
    const long = width * (0.01 + near * 0.05)
    return ellipse(
      { x: random.next() * width, y: horizon + depth * near },
      long,
      depth * 0.003,
      lighter(mood.sky[2], 0.03),
      0.16,
    )
  })
  return `${rect(0, horizon, width, depth, water)}${swell}${foam}${glitter}`
}

function sailboat({ random, mood, unit, width, height }: Stage, horizon: number): string {
  const size = unit * random.between(0.1, 0.2)
  const at = { x: random.between(0.2, 0.8) * width, y: horizon + (height - horizon) * random.between(0.14, 0.36) }
  const white = mix(colour(0.97, 0.01, 90), mood.sky[1], mood.isDark ? 0.5 : 0.08)
  const x = (share: number) => (at.x + share * size).toFixed(1)
  const y = (share: number) => (at.y - share * size).toFixed(1)
  return [
    ellipse({ x: at.x, y: at.y + size * 0.06 }, size * 0.5, size * 0.05, mood.ground, 0.35),
    shape(
      `M${x(-0.45)} ${y(0.12)}L${x(0.5)} ${y(0.12)}Q${x(0.4)} ${y(-0.06)} ${x(0.25)} ${y(-0.06)}L${x(-0.3)} ${y(-0.06)}Z`,
      mix(mood.ground, mood.accent, 0.25),
    ),
    stroke(`M${x(0)} ${y(0.1)}V${y(1.2)}`, mood.ground, size * 0.025),
    shape(`M${x(0.03)} ${y(1.18)}Q${x(0.4)} ${y(0.6)} ${x(0.46)} ${y(0.2)}L${x(0.03)} ${y(0.2)}Z`, white),
    shape(`M${x(-0.03)} ${y(1.05)}Q${x(-0.28)} ${y(0.55)} ${x(-0.36)} ${y(0.2)}L${x(-0.03)} ${y(0.2)}Z`, mood.accent),
  ].join('')
}

function headland(stage: Stage, horizon: number, withLighthouse: boolean): string {
  const { random, mood, width, height, palette, unit } = stage
  const onRight = random.chance(0.5)
  const top = horizon - height * random.between(0.02, 0.1)
  const reach = width * random.between(0.38, 0.5)
  const edge: Point[] = [
    { x: 0, y: top - height * 0.03 },
    { x: reach * 0.45, y: top },
    { x: reach * 0.66, y: top + height * 0.02 },
    { x: reach * 0.74, y: top + height * 0.1 },
    { x: reach * 0.86, y: top + height * 0.17 },
    { x: reach * 0.9, y: top + height * 0.28 },
    { x: reach, y: horizon + height * 0.3 },
    { x: reach * 0.8, y: height },
    { x: 0, y: height },
  ]
  const rock = palette.linear([
    [0, mix(mood.ground, mood.green, 0.55)],
    [0.12, lighter(mood.ground, 0.08)],
    [1, lighter(mood.ground, -0.06)],
  ])
  const cracks = repeat(12, () => {
    const x = random.between(0.05, 0.75) * reach
    return stroke(
      `M${x} ${top + height * random.between(0.1, 0.2)}l${random.between(-10, 10)} ${height * random.between(0.04, 0.14)}`,
      lighter(mood.ground, -0.06),
      unit * 0.004,
      0.6,
    )
  })
  const surf = ellipse(
    { x: reach * 0.86, y: height * 0.985 },
    reach * 0.35,
    height * 0.016,
    lighter(mood.sky[2], 0.04),
    0.55,
  )
  const tower = withLighthouse ? lighthouse(stage, { x: reach * 0.45, y: top + height * 0.012 }, height * 0.3) : ''
  const drawn = `${surf}${tower}${shape(polygon(edge), rock)}${cracks}`
  return onRight ? group(drawn, `transform="translate(${width} 0) scale(-1 1)"`) : drawn
}

function lighthouse({ mood, palette }: Stage, foot: Point, tall: number): string {
  const w = tall * 0.13
  const white = mix(colour(0.96, 0.01, 90), mood.sky[1], mood.isDark ? 0.45 : 0.1)
  const red = mix(colour(0.56, 0.2, 28), mood.sky[0], mood.isDark ? 0.4 : 0.1)
  const at = (side: number, up: number) =>
    `${(foot.x + side * w * (1 - up * 0.35)).toFixed(1)} ${(foot.y - tall * up).toFixed(1)}`
  const band = (from: number, to: number, fill: Colour) =>
    shape(`M${at(-1, from)}L${at(1, from)}L${at(1, to)}L${at(-1, to)}Z`, fill)
  const lamp = { x: foot.x, y: foot.y - tall * 0.86 }
  const beam = palette.linear(
    [
      [0, colour(0.97, 0.09, 95), 0.75],
      [1, colour(0.97, 0.09, 95), 0],
    ],
    'across',
  )
  const ray =
    mood.hour === 'day' || mood.hour === 'winter'
      ? ''
      : shape(
          polygon([
            lamp,
            { x: lamp.x + tall * 3, y: lamp.y - tall * 0.34 },
            { x: lamp.x + tall * 3, y: lamp.y + tall * 0.2 },
          ]),
          beam,
        )
  return [
    ray,
    band(-0.03, 0.8, white),
    band(0.12, 0.3, red),
    band(0.48, 0.66, red),
    rect(foot.x - w * 0.9, foot.y - tall * 0.82, w * 1.8, tall * 0.025, mood.ground),
    rect(foot.x - w * 0.5, foot.y - tall * 0.92, w, tall * 0.1, colour(0.95, 0.12, 95)),
    shape(
      `M${foot.x - w * 0.7} ${foot.y - tall * 0.915}L${foot.x} ${foot.y - tall * 1.02}L${foot.x + w * 0.7} ${foot.y - tall * 0.915}Z`,
      red,
    ),
    circle(
      lamp,
      tall * 0.2,
      palette.radial([
        [0, colour(0.98, 0.08, 95), 0.9],
        [1, colour(0.95, 0.1, 90), 0],
      ]),
    ),
    `<rect x="${foot.x.toFixed(1)}" y="${(foot.y - tall * 0.83).toFixed(1)}" width="${w.toFixed(1)}" height="${(tall * 0.85).toFixed(1)}" fill="${css(mood.ground)}" opacity="0.14"/>`,
  ].join('')
}
