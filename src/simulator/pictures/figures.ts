import {
  circle,
  curve,
  downTo,
  ellipse,
  group,
  hills,
  placed,
  type Point,
  rect,
  repeat,
  shape,
  stroke,
} from './brush.ts'
import { type Colour, colour, lighter, mix } from './colour.ts'
import { flower, grass } from './landscapes.ts'
import type { Animal } from './read-prompt.ts'
import { birds, clouds, pine, sky, type Stage } from './scenery.ts'

/** Pictures with a figure or an object in the middle. */

export function animal(stage: Stage): string {
  const { random, mood, width, height, unit, wish } = stage
  if (wish.animal === 'whale') return whaleAtSea(stage)
  const light = { x: width * random.between(0.4, 0.6), y: height * random.between(0.36, 0.46) }
  const back = repeat(2, (i) => {
    const line = hills(random, width, height * (0.74 + i * 0.1), height * 0.12, 2)
    const fill = mix(mood.green, mood.haze, 0.6 - i * 0.35)
    const trees = repeat(9, () => {
      const x = random.next() * width
      return pine(
        random,
        { x, y: height * (0.74 + i * 0.08) },
        height * random.between(0.06, 0.13),
        lighter(fill, -0.04),
      )
    })
    return `${trees}${shape(downTo(curve(line), width, height), fill)}`
  })
  const ground = hills(random, width, height * 0.92, height * 0.06, 1)
  const near = mix(mood.green, mood.ground, 0.55)
  const size = unit * 0.56
  const foot = { x: width * random.between(0.42, 0.58), y: height * 0.915 }
  const body = placed(ANIMALS[wish.animal](coat(stage), stage), foot, size, random.chance(0.5))
  const flowers = repeat(5, (i) =>
    flower(stage, { x: width * ((i + random.next()) / 5), y: height * random.between(0.9, 0.97) }, unit * 0.022),
  )
  return `${sky(stage, light, 0.24)}${back}${shape(downTo(curve(ground), width, height), near)}${ellipse({ x: foot.x, y: foot.y + 2 }, size * 0.4, size * 0.045, mood.ground, 0.4)}${body}${grass(stage, 0.93, lighter(near, 0.02), 170)}${flowers}`
}

interface Coat {
  main: Colour
  light: Colour
  dark: Colour
  eye: Colour
}

function coat({ mood, random, wish }: Stage): Coat {
  const natural: Record<Animal, Colour> = {
    cat: random.pick([colour(0.45, 0.03, 60), colour(0.7, 0.13, 62), colour(0.55, 0.015, 260)]),
    fox: wish.has(/\bwol(f|ves)\b/)
      ? colour(0.55, 0.02, 255)
      : colour(0.66, wish.has(/\b(dogs?|pupp\w+)\b/) ? 0.09 : 0.17, 55),
    bird: colour(0.6, 0.16, random.between(0, 360)),
    whale: colour(0.42, 0.07, 250),
    rabbit: colour(0.74, 0.04, 70),
    owl: colour(0.52, 0.07, 60),
    bear: wish.has(/\bpandas?\b/) ? colour(0.96, 0.01, 90) : colour(0.42, 0.07, 52),
  }
  const main = mix(wish.colour ?? natural[wish.animal], mood.ground, mood.isDark ? 0.4 : 0.06)
  return {
    main,
    light: mix(main, colour(0.97, 0.02, 80), 0.75),
    dark: lighter(main, -0.16),
    eye: colour(0.82, 0.16, random.pick([95, 140, 75])),
  }
}

const eyes = (left: Point, right: Point, r: number, tint: Colour) =>
  [left, right]
    .map(
      (at) =>
        `${circle(at, r, tint)}${circle(at, r * 0.62, colour(0.12, 0.02, 280))}${circle({ x: at.x - r * 0.25, y: at.y - r * 0.3 }, r * 0.22, colour(1, 0, 0))}`,
    )
    .join('')

/** Each in a box of 100 by 100 with its feet at the bottom. */
const ANIMALS: Record<Exclude<Animal, 'whale'>, (coat: Coat, stage: Stage) => string> & { whale: () => string } = {
  cat: ({ main, light, dark, eye }) =>
    [
      stroke('M66 92C96 94 98 66 82 58C76 54 74 62 80 66', dark, 8),
      shape('M30 100C22 70 36 46 50 46C64 46 78 70 70 100Z', main),
      shape('M42 100C38 80 42 62 50 60C58 62 62 80 58 100Z', light, 0.8),
      ellipse({ x: 40, y: 97 }, 9, 4.5, lighter(main, 0.03)),
      ellipse({ x: 60, y: 97 }, 9, 4.5, lighter(main, 0.03)),
      shape('M31 30L28 6L45 19ZM69 30L72 6L55 19Z', main),
      shape('M33 24L31.5 12L41 20ZM67 24L68.5 12L59 20Z', colour(0.76, 0.08, 20)),
      ellipse({ x: 50, y: 34 }, 22, 19, main),
      repeat(3, (i) => stroke(`M${46 + i * 4} 17V23`, dark, 1.8)),
      ellipse({ x: 50, y: 42 }, 10, 7.5, light),
      eyes({ x: 41, y: 33 }, { x: 59, y: 33 }, 4.6, eye),
      shape('M47.5 38.5H52.5L50 41.5Z', colour(0.62, 0.12, 15)),
      stroke('M50 41.5V44M50 44Q47 47 45 45M50 44Q53 47 55 45', dark, 0.9),
      stroke('M36 41L22 38M36 43L22 44M64 41L78 38M64 43L78 44', light, 0.6, 0.8),
    ].join(''),
  fox: ({ main, light, dark }) =>
    [
      shape('M64 98C98 100 104 66 86 50C88 66 76 72 66 78Z', main),
      shape('M86 50C96 58 97 70 93 78C90 70 86 66 82 64Z', light),
      shape('M30 100C24 72 36 46 50 46C64 46 76 72 70 100Z', main),
      shape('M41 100C37 76 42 58 50 54C58 58 63 76 59 100Z', light),
      shape('M33 100C33 92 35 84 38 78L43 100ZM67 100C67 92 65 84 62 78L57 100Z', dark),
      shape('M27 32L24 2L45 18ZM73 32L76 2L55 18Z', main),
      shape('M30 24L28.5 10L40 19ZM70 24L71.5 10L60 19Z', dark),
      shape('M24 27C32 14 68 14 76 27C72 40 58 52 50 55C42 52 28 40 24 27Z', main),
      shape('M24 27C34 30 44 38 50 55C42 52 28 40 24 27ZM76 27C66 30 56 38 50 55C58 52 72 40 76 27Z', light),
      eyes({ x: 40, y: 30 }, { x: 60, y: 30 }, 3.2, colour(0.7, 0.14, 70)),
      ellipse({ x: 50, y: 52.5 }, 4, 3.1, colour(0.18, 0.02, 280)),
    ].join(''),
  bird: ({ main, light, dark }) =>
    [
      stroke('M8 92Q50 84 96 90', colour(0.36, 0.06, 55), 5),
      stroke('M44 90V78M54 90V78', colour(0.66, 0.13, 60), 2.4),
      shape('M66 70L98 92L88 96L58 80Z', dark),
      shape('M24 40C24 20 42 14 54 24C78 34 80 60 66 76C54 86 34 82 28 66C24 58 24 50 24 40Z', main),
      shape('M27 48C26 66 36 80 52 80C44 70 40 56 42 46Z', light),
      shape('M48 44C66 42 78 56 74 76C60 74 48 62 48 44Z', dark),
      stroke('M54 52C62 54 68 60 70 68M52 58C58 62 64 66 66 72', main, 1.4),
      shape('M26 34L8 38L26 44Z', colour(0.76, 0.16, 65)),
      circle({ x: 37, y: 33 }, 4.2, colour(1, 0, 0)),
      circle({ x: 36.4, y: 33 }, 2.6, colour(0.14, 0.02, 280)),
    ].join(''),
  rabbit: ({ main, light, dark }) =>
    [
      circle({ x: 74, y: 88 }, 9, light),
      shape('M28 100C20 74 34 52 50 52C66 52 80 74 72 100Z', main),
      ellipse({ x: 50, y: 84 }, 13, 16, light),
      ellipse({ x: 38, y: 97 }, 11, 4.5, lighter(main, 0.04)),
      ellipse({ x: 62, y: 97 }, 11, 4.5, lighter(main, 0.04)),
      ellipse({ x: 40, y: 16 }, 6.5, 21, main, 1, -8),
      ellipse({ x: 60, y: 16 }, 6.5, 21, main, 1, 8),
      ellipse({ x: 40, y: 17 }, 3.4, 16, colour(0.8, 0.07, 15), 1, -8),
      ellipse({ x: 60, y: 17 }, 3.4, 16, colour(0.8, 0.07, 15), 1, 8),
      ellipse({ x: 50, y: 45 }, 20, 17, main),
      ellipse({ x: 50, y: 52 }, 9, 6.5, light),
      eyes({ x: 41, y: 43 }, { x: 59, y: 43 }, 3.6, colour(0.35, 0.06, 50)),
      shape('M47.5 48H52.5L50 51Z', colour(0.68, 0.12, 10)),
      stroke('M50 51V54', dark, 0.9),
    ].join(''),
  owl: ({ main, light, dark, eye }) =>
    [
      stroke('M6 94Q50 87 94 94', colour(0.34, 0.05, 55), 6),
      shape('M24 50C22 24 36 16 50 16C64 16 78 24 76 50C80 76 66 92 50 92C34 92 20 76 24 50Z', main),
      shape('M24 52C16 66 20 84 34 90C30 76 30 62 34 52ZM76 52C84 66 80 84 66 90C70 76 70 62 66 52Z', dark),
      ellipse({ x: 50, y: 70 }, 15, 19, light, 0.85),
      repeat(9, (i) => stroke(`M${40 + (i % 3) * 10 - 3} ${60 + Math.floor(i / 3) * 9}q3 4 6 0`, dark, 1.3)),
      shape('M26 32L22 8L42 22ZM74 32L78 8L58 22Z', main),
      circle({ x: 38, y: 36 }, 13, light),
      circle({ x: 62, y: 36 }, 13, light),
      eyes({ x: 39, y: 36 }, { x: 61, y: 36 }, 8, eye),
      shape('M46 42L54 42L50 52Z', colour(0.74, 0.15, 70)),
      stroke('M43 91v4M47 92v4M53 92v4M57 91v4', colour(0.74, 0.15, 70), 2.2),
    ].join(''),
  bear: ({ main, light, dark }, { wish }) => {
    const patch = wish.has(/\bpandas?\b/) ? colour(0.2, 0.01, 280) : dark
    return [
      shape('M22 100C14 70 30 46 50 46C70 46 86 70 78 100Z', main),
      ellipse({ x: 50, y: 82 }, 17, 19, light, 0.6),
      ellipse({ x: 25, y: 76 }, 8, 18, patch, 1, 12),
      ellipse({ x: 75, y: 76 }, 8, 18, patch, 1, -12),
      ellipse({ x: 34, y: 96 }, 12, 6, patch),
      ellipse({ x: 66, y: 96 }, 12, 6, patch),
      circle({ x: 32, y: 16 }, 8.5, patch),
      circle({ x: 68, y: 16 }, 8.5, patch),
      ellipse({ x: 50, y: 32 }, 24, 21, main),
      wish.has(/\bpandas?\b/)
        ? `${ellipse({ x: 40, y: 30 }, 6, 7.5, patch, 1, 25)}${ellipse({ x: 60, y: 30 }, 6, 7.5, patch, 1, -25)}`
        : '',
      ellipse({ x: 50, y: 40 }, 11, 8.5, light),
      circle({ x: 41, y: 29 }, 2.8, colour(0.14, 0.02, 280)),
      circle({ x: 59, y: 29 }, 2.8, colour(0.14, 0.02, 280)),
      circle({ x: 40.2, y: 28.2 }, 0.9, colour(1, 0, 0)),
      circle({ x: 58.2, y: 28.2 }, 0.9, colour(1, 0, 0)),
      ellipse({ x: 50, y: 36.5 }, 4.4, 3.2, colour(0.2, 0.02, 280)),
      stroke('M50 39V43M45 44Q50 47 55 44', patch, 1.1),
    ].join('')
  },
  whale: () => '',
}

function whaleAtSea(stage: Stage): string {
  const { random, mood, width, height, unit, palette } = stage
  const { main, light, dark } = coat(stage)
  const horizon = height * 0.56
  const swell = (from: number, opacity: number) =>
    shape(
      downTo(curve(hills(random, width, height * from, height * 0.05, 3)), width, height),
      palette.linear([
        [0, lighter(mood.water, 0.05)],
        [1, lighter(mood.water, -0.12)],
      ]),
      opacity,
    )
  const body = [
    shape('M6 62C10 26 52 16 80 40C90 48 96 44 98 30C104 36 108 40 116 34C112 52 100 66 84 78C60 96 16 98 6 62Z', main),
    shape('M7 66C22 76 50 78 72 70C84 66 90 60 96 54C92 66 90 72 84 78C60 96 16 98 7 66Z', light),
    repeat(6, (i) => stroke(`M${14 + i * 9} ${74 + i * 0.6}q6 5 14 ${5 - i}`, mix(light, dark, 0.35), 0.9)),
    shape('M46 70C50 84 60 92 70 92C66 84 62 76 58 68Z', dark),
    circle({ x: 24, y: 58 }, 2.2, colour(0.14, 0.02, 280)),
    stroke('M40 22C38 8 30 4 24 6M40 22C42 8 50 4 56 6M40 22V4', lighter(mood.sky[2], 0.05), 2.2, 0.85),
  ].join('')
  return `${sky(stage, { x: width * 0.7, y: horizon - height * 0.16 }, 0.11)}${birds(stage, 5)}${rect(0, horizon, width, height - horizon, mix(mood.water, mood.sky[2], 0.3))}${swell(0.66, 0.8)}${placed(body, { x: width * 0.46, y: height * 0.86 }, unit * 0.62, random.chance(0.5))}${swell(0.84, 0.75)}${swell(0.96, 0.9)}`
}

export function portrait(stage: Stage): string {
  const { random, mood, width, height, unit, palette, wish } = stage
  const skin = colour(random.between(0.48, 0.84), 0.065, random.between(48, 64))
  const anyHair = random.pick([
    colour(0.22, 0.03, 50),
    colour(0.4, 0.08, 50),
    colour(0.7, 0.1, 80),
    colour(0.5, 0.13, 40),
    colour(0.75, 0.01, 90),
  ])
  const hair = wish.has(/\b(old|elderly|grand\w+)\b/) ? colour(0.85, 0.01, 90) : anyHair
  const cloth = wish.colour ?? mood.accent
  const long =
    wish.has(/\b(wom[ae]n|girls?|queen|dancer)\b/) || (!wish.has(/\b(m[ae]n|boys?|king)\b/) && random.chance(0.5))
  const back = palette.linear([
    [0, mood.sky[1]],
    [1, mood.sky[2]],
  ])
  const disc = circle(
    { x: width / 2, y: height * 1.02 - unit * 0.58 },
    unit * 0.36,
    palette.linear([
      [0, lighter(mood.accent, 0.08)],
      [1, mix(mood.accent, mood.sky[2], 0.55)],
    ]),
    0.9,
  )
  const leaves = repeat(14, (i) => {
    const side = i % 2 === 0 ? -1 : 1
    const at = { x: width / 2 + side * unit * random.between(0.3, 0.52), y: height * random.between(0.3, 1) }
    return ellipse(
      at,
      unit * 0.035,
      unit * random.between(0.09, 0.15),
      mix(mood.green, mood.ground, random.between(0.1, 0.6)),
      0.85,
      side * random.between(10, 60),
    )
  })
  const dark = colour(0.2, 0.03, 40)
  const shade = lighter({ ...skin, c: skin.c + 0.02 }, -0.08)
  const behind = long ? shape('M26 40C22 6 78 6 74 40C78 60 80 72 76 84L24 84C20 72 22 60 26 40Z', hair) : ''
  const figure = [
    behind,
    shape('M6 104C8 82 28 76 42 73L58 73C72 76 92 82 94 104Z', cloth),
    shape('M42 58H58V74Q50 82 42 74Z', shade),
    shape('M40 73Q50 86 60 73L64 75Q50 94 36 75Z', lighter(cloth, 0.1)),
    shape('M31 38C31 20 69 20 69 38C69 54 60 66 50 66C40 66 31 54 31 38Z', skin),
    shape('M50 24C66 24 69 32 69 40C69 54 60 66 50 66C58 58 60 40 50 24Z', shade, 0.35),
    long
      ? shape('M30 44C26 14 46 12 54 16C66 14 74 26 70 44C68 34 62 28 54 26C46 32 36 32 33 36C31 38 31 41 30 44Z', hair)
      : shape(
          'M30 36C28 16 44 10 54 14C66 12 74 22 70 37C68 30 64 27 60 26C50 30 40 26 34 28C32 30 31 33 30 36Z',
          hair,
        ),
    stroke('M36.5 37Q40.5 34.5 44 36.5M56 36.5Q59.5 34.5 63.5 37', mix(hair, dark, 0.5), 1.5),
    ellipse({ x: 40.6, y: 41.5 }, 2.2, 1.8, dark),
    ellipse({ x: 59.4, y: 41.5 }, 2.2, 1.8, dark),
    stroke('M50 42C50 46 48 49 49 50.5Q50.5 51.5 52 50.5', shade, 1.3),
    shape('M44.5 56.5Q50 54.6 55.5 56.5Q50 60.8 44.5 56.5Z', colour(0.58, 0.12, 20)),
    circle({ x: 36.5, y: 50 }, 3.6, colour(0.68, 0.12, 25), 0.22),
    circle({ x: 63.5, y: 50 }, 3.6, colour(0.68, 0.12, 25), 0.22),
    wish.has(/\b(queen|king)\b/) ? shape('M36 20L34 4L43 12L50 1L57 12L66 4L64 20Z', colour(0.82, 0.15, 88)) : '',
  ].join('')
  return `${rect(0, 0, width, height, back)}${clouds(stage, 2)}${disc}${leaves}${placed(figure, { x: width / 2, y: height * 1.02 }, unit * 0.86)}`
}

export function stillLife(stage: Stage): string {
  const { random, mood, width, height, unit, palette, wish } = stage
  const table = height * 0.68
  const wall = mix(mood.sky[1], mood.haze, 0.3)
  const glow = circle(
    { x: width * random.between(0.3, 0.7), y: height * 0.36 },
    unit * 0.75,
    palette.radial([
      [0, lighter(wall, 0.12), 0.9],
      [1, wall, 0],
    ]),
  )
  const wood = mood.isDark ? colour(0.3, 0.05, 50) : colour(0.62, 0.07, 60)
  const grain = repeat(16, () => {
    const y = table + random.next() * (height - table)
    return stroke(
      `M${random.between(-0.2, 0.6) * width} ${y}q${width * 0.3} ${random.between(-6, 6)} ${width * random.between(0.3, 0.7)} 0`,
      lighter(wood, -0.07),
      unit * 0.003,
      0.5,
    )
  })
  const isDrink = wish.has(/\b(cups?|coffee|tea|mugs?)\b/)
  const isVase = wish.has(/\b(vase|bottles?|perfume|products?)\b/)
  const middle = { x: width * 0.5, y: height * 0.8 }
  const subject = isDrink
    ? cup(stage, middle, unit * 0.34)
    : isVase
      ? vase(stage, middle, unit * 0.5)
      : fruits(stage, middle, unit * 0.34)
  return `${rect(
    0,
    0,
    width,
    height,
    palette.linear([
      [0, lighter(wall, -0.08)],
      [1, wall],
    ]),
  )}${glow}${rect(
    0,
    table,
    width,
    height - table,
    palette.linear([
      [0, lighter(wood, 0.06)],
      [1, lighter(wood, -0.12)],
    ]),
  )}${grain}${subject}`
}

const FRUITS: [RegExp, Colour][] = [
  [/\boranges?\b/, colour(0.74, 0.17, 58)],
  [/\blemons?\b/, colour(0.88, 0.17, 100)],
  [/\bpeach(es)?\b/, colour(0.78, 0.12, 45)],
  [/\bpears?\b/, colour(0.8, 0.15, 115)],
  [/\bapples?\b/, colour(0.56, 0.2, 27)],
]

function fruits(stage: Stage, at: Point, size: number): string {
  const { random, wish } = stage
  const own = wish.colour ?? FRUITS.find(([word]) => wish.has(word))?.[1] ?? stage.mood.accent
  const single = wish.has(/\b(an?|one|single) (\w+ )?(apple|orange|pear|lemon|peach|fruit)\b/)
  const others = single
    ? []
    : ([
        [-0.85, -0.04, 0.78],
        [0.8, 0.02, 0.84],
        [-0.3, 0.22, 0.66],
      ] as const)
  const rest = others.map(([x, y, s]) => {
    const tint = colour(own.l + random.between(-0.05, 0.08), own.c, own.h + random.between(-25, 25))
    return fruit(stage, { x: at.x + x * size, y: at.y + y * size }, size * s, tint)
  })
  const [left = '', right = '', front = ''] = rest
  return `${left}${right}${fruit(stage, at, size, own)}${front}`
}

function fruit({ palette, random }: Stage, foot: Point, size: number, tint: Colour): string {
  const r = size / 2
  const centre = { x: foot.x, y: foot.y - r * 0.92 }
  const body = palette.radial(
    [
      [0, lighter(tint, 0.14)],
      [0.45, tint],
      [1, lighter({ ...tint, h: tint.h - 14 }, -0.24)],
    ],
    { x: 0.36, y: 0.32 },
  )
  const outline = `M${centre.x} ${centre.y - r * 0.72}C${centre.x + r * 0.5} ${centre.y - r * 1.1} ${centre.x + r * 1.16} ${centre.y - r * 0.72} ${centre.x + r} ${centre.y + r * 0.08}C${centre.x + r * 0.9} ${centre.y + r * 0.78} ${centre.x + r * 0.4} ${centre.y + r * 1.02} ${centre.x} ${centre.y + r * 0.88}C${centre.x - r * 0.4} ${centre.y + r * 1.02} ${centre.x - r * 0.9} ${centre.y + r * 0.78} ${centre.x - r} ${centre.y + r * 0.08}C${centre.x - r * 1.16} ${centre.y - r * 0.72} ${centre.x - r * 0.5} ${centre.y - r * 1.1} ${centre.x} ${centre.y - r * 0.72}Z`
  const lean = random.between(-0.1, 0.16) * r
  return [
    ellipse({ x: foot.x + r * 0.35, y: foot.y - r * 0.02 }, r * 1.25, r * 0.2, colour(0.16, 0.03, 40), 0.35),
    shape(outline, body),
    ellipse({ x: centre.x, y: centre.y - r * 0.68 }, r * 0.3, r * 0.09, lighter(tint, -0.22), 0.6),
    stroke(
      `M${centre.x} ${centre.y - r * 0.66}q${lean} ${-r * 0.2} ${lean * 2} ${-r * 0.42}`,
      colour(0.36, 0.05, 60),
      r * 0.07,
    ),
    shape(
      `M${centre.x + lean} ${centre.y - r * 0.86}q${r * 0.3} ${-r * 0.36} ${r * 0.66} ${-r * 0.16}q${-r * 0.3} ${r * 0.3} ${-r * 0.66} ${r * 0.16}Z`,
      colour(0.6, 0.14, 138),
    ),
    ellipse({ x: centre.x - r * 0.42, y: centre.y - r * 0.38 }, r * 0.2, r * 0.12, colour(1, 0, 0), 0.4, -35),
  ].join('')
}

function cup({ palette, wish, mood }: Stage, foot: Point, size: number): string {
  const tint = wish.colour ?? mix(colour(0.93, 0.02, 85), mood.accent, 0.25)
  const china = palette.linear(
    [
      [0, lighter(tint, 0.04)],
      [0.35, lighter(tint, 0.08)],
      [1, lighter(tint, -0.2)],
    ],
    'across',
  )
  const s = size / 100
  const steam = repeat(3, (i) =>
    stroke(`M${38 + i * 14} 22c-10 -16 12 -22 2 -40c-6 -12 6 -18 2 -28`, colour(1, 0, 0), 4, 0.22),
  )
  const drawn = [
    ellipse({ x: 56, y: 99 }, 74, 12, colour(0.16, 0.03, 40), 0.3),
    ellipse({ x: 50, y: 94 }, 66, 13, lighter(tint, -0.07)),
    ellipse({ x: 50, y: 91 }, 62, 11, lighter(tint, 0.03)),
    `<path d="M88 46C118 42 116 78 80 78" fill="none" stroke="${china}" stroke-width="9"/>`,
    shape('M10 34C10 72 26 92 50 92C74 92 90 72 90 34Z', china),
    ellipse({ x: 50, y: 34 }, 40, 11, lighter(tint, -0.06)),
    ellipse({ x: 50, y: 36 }, 36, 8.5, wish.has(/\btea\b/) ? colour(0.6, 0.13, 60) : colour(0.34, 0.06, 50)),
    ellipse({ x: 42, y: 34.5 }, 14, 3, colour(0.75, 0.08, 70), 0.35),
    steam,
  ].join('')
  return group(
    drawn,
    `transform="translate(${(foot.x - 50 * s).toFixed(1)} ${(foot.y - 92 * s).toFixed(1)}) scale(${s.toFixed(3)})"`,
  )
}

function vase(stage: Stage, foot: Point, size: number): string {
  const { palette, mood, random, wish } = stage
  const tint = wish.colour ?? mood.accent
  const glass = palette.linear(
    [
      [0, lighter(tint, -0.08)],
      [0.3, lighter(tint, 0.1)],
      [1, lighter(tint, -0.22)],
    ],
    'across',
  )
  const s = size / 100
  const blooms = { ...stage, height: foot.y - size * 0.6 }
  const flowers = wish.has(/\b(bottles?|perfume|products?)\b/)
    ? rect(foot.x - 9 * s, foot.y - 112 * s, 18 * s, 16 * s, colour(0.8, 0.1, 85))
    : repeat(7, (i) =>
        flower(
          blooms,
          { x: foot.x + (i - 3) * size * 0.13, y: foot.y - size * random.between(0.95, 1.3) },
          size * 0.11,
        ),
      )
  const body = shape('M38 4H62C60 20 82 34 82 62C82 86 68 100 50 100C32 100 18 86 18 62C18 34 40 20 38 4Z', glass)
  const shine = shape('M32 44C26 54 26 70 32 82C28 66 30 54 36 44Z', colour(1, 0, 0), 0.4)
  return `${flowers}${ellipse({ x: foot.x + size * 0.1, y: foot.y }, size * 0.4, size * 0.06, colour(0.16, 0.03, 40), 0.35)}${placed(`${body}${shine}`, foot, size)}`
}

export function abstract(stage: Stage): string {
  const { random, mood, width, height, unit, palette } = stage
  const hues = [
    mood.accent.h,
    mood.accent.h + 35,
    mood.accent.h + 150,
    mood.accent.h + 190,
    mood.accent.h + 260,
  ] as const
  const tint = () => colour(random.between(0.5, 0.88), random.between(0.08, 0.19), random.pick(hues))
  const back = colour(mood.isDark ? 0.2 : 0.95, 0.02, mood.sky[2].h)
  const blobs = repeat(5, () => {
    const fill = tint()
    return circle(
      { x: random.next() * width, y: random.next() * height },
      unit * random.between(0.3, 0.6),
      palette.radial([
        [0, fill, 0.65],
        [1, fill, 0],
      ]),
    )
  })
  const cell = unit / random.integer(3, 5)
  const columns = Math.ceil(width / cell)
  const rows = Math.ceil(height / cell)
  const tiles = repeat(columns * rows, (i) => {
    if (random.chance(0.28)) return ''
    const [x, y] = [(i % columns) * cell, Math.floor(i / columns) * cell]
    return tile(random.integer(0, 6), x, y, cell, tint(), tint(), random.integer(0, 3) * 90)
  })
  const big = repeat(2, () => {
    const at = { x: random.next() * width, y: random.next() * height }
    return `<circle cx="${at.x.toFixed(0)}" cy="${at.y.toFixed(0)}" r="${(unit * random.between(0.2, 0.4)).toFixed(0)}" fill="none" stroke="${palette.linear(
      [
        [0, tint()],
        [1, tint()],
      ],
    )}" stroke-width="${(unit * 0.03).toFixed(0)}" opacity="0.8"/>`
  })
  return `${rect(0, 0, width, height, back)}${blobs}${group(tiles, 'opacity="0.92"')}${big}`
}

function tile(kind: number, x: number, y: number, s: number, a: Colour, b: Colour, turn: number): string {
  const h = s / 2
  const forms = [
    () => shape(`M0 0H${s}A${s} ${s} 0 0 1 0 ${s}Z`, a),
    () => circle({ x: h, y: h }, h * 0.94, a) + circle({ x: h, y: h }, h * 0.45, b),
    () => shape(`M0 0L${s} ${s}H0Z`, a) + circle({ x: s * 0.72, y: s * 0.28 }, s * 0.14, b),
    () => shape(`M0 ${h}A${h} ${h} 0 0 1 ${s} ${h}Z`, a) + shape(`M0 ${s}A${h} ${h} 0 0 1 ${s} ${s}Z`, b),
    () => repeat(4, (i) => rect(0, i * (s / 4), s, s / 8, a)),
    () => shape(`M0 0H${s}V${s}H0Z`, a, 0.9) + shape(`M0 0A${s} ${s} 0 0 0 ${s} ${s}A${s} ${s} 0 0 0 0 0Z`, b),
    () =>
      repeat(9, (i) => circle({ x: ((i % 3) + 0.5) * (s / 3), y: (Math.floor(i / 3) + 0.5) * (s / 3) }, s * 0.08, a)),
  ]
  return group(
    forms[kind]?.() ?? '',
    `transform="translate(${x.toFixed(1)} ${y.toFixed(1)}) rotate(${turn} ${h.toFixed(1)} ${h.toFixed(1)})"`,
  )
}
