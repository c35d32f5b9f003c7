import type { SeededRandom } from '../seeded-random.ts'
import { type Colour, colour, mix } from './colour.ts'
import type { Hour, Wish } from './read-prompt.ts'

/** The colours of a picture. */
export interface Mood {
  hour: Hour
  /** From the zenith to the horizon. */
  sky: [Colour, Colour, Colour]
  /** Sun or moon. */
  light: Colour
  /** The haze that distant things fade into. */
  haze: Colour
  /** The nearest ground. */
  ground: Colour
  /** Leaves and grass in the middle distance. */
  green: Colour
  water: Colour
  /** The accent colour. */
  accent: Colour
  isDark: boolean
}

type Tints = Omit<Mood, 'hour' | 'accent' | 'isDark'>

const MOODS: Record<Hour, Tints> = {
  dawn: {
    sky: [colour(0.6, 0.08, 275), colour(0.8, 0.08, 350), colour(0.93, 0.06, 65)],
    light: colour(0.97, 0.05, 85),
    haze: colour(0.84, 0.06, 20),
    ground: colour(0.3, 0.05, 290),
    green: colour(0.52, 0.06, 170),
    water: colour(0.62, 0.07, 270),
  },
  day: {
    sky: [colour(0.6, 0.13, 250), colour(0.78, 0.09, 238), colour(0.94, 0.03, 220)],
    light: colour(0.99, 0.03, 95),
    haze: colour(0.84, 0.045, 232),
    ground: colour(0.38, 0.08, 160),
    green: colour(0.62, 0.13, 138),
    water: colour(0.55, 0.11, 235),
  },
  sunset: {
    sky: [colour(0.36, 0.11, 295), colour(0.62, 0.17, 20), colour(0.87, 0.13, 75)],
    light: colour(0.95, 0.11, 88),
    haze: colour(0.72, 0.13, 40),
    ground: colour(0.2, 0.06, 310),
    green: colour(0.4, 0.08, 340),
    water: colour(0.42, 0.11, 310),
  },
  night: {
    sky: [colour(0.15, 0.05, 275), colour(0.26, 0.08, 268), colour(0.44, 0.09, 250)],
    light: colour(0.95, 0.03, 95),
    haze: colour(0.42, 0.08, 255),
    ground: colour(0.11, 0.03, 270),
    green: colour(0.26, 0.06, 230),
    water: colour(0.24, 0.07, 260),
  },
  neon: {
    sky: [colour(0.17, 0.1, 290), colour(0.36, 0.18, 310), colour(0.66, 0.22, 350)],
    light: colour(0.84, 0.16, 60),
    haze: colour(0.5, 0.2, 325),
    ground: colour(0.13, 0.06, 285),
    green: colour(0.4, 0.14, 280),
    water: colour(0.3, 0.14, 290),
  },
  storm: {
    sky: [colour(0.36, 0.03, 250), colour(0.53, 0.03, 240), colour(0.76, 0.025, 215)],
    light: colour(0.9, 0.03, 100),
    haze: colour(0.68, 0.025, 225),
    ground: colour(0.22, 0.025, 235),
    green: colour(0.42, 0.04, 180),
    water: colour(0.4, 0.04, 225),
  },
  winter: {
    sky: [colour(0.68, 0.06, 255), colour(0.84, 0.035, 250), colour(0.96, 0.02, 60)],
    light: colour(0.99, 0.02, 90),
    haze: colour(0.9, 0.025, 245),
    ground: colour(0.46, 0.05, 255),
    green: colour(0.55, 0.04, 210),
    water: colour(0.66, 0.05, 240),
  },
  autumn: {
    sky: [colour(0.66, 0.07, 235), colour(0.83, 0.05, 220), colour(0.95, 0.05, 85)],
    light: colour(0.97, 0.07, 90),
    haze: colour(0.84, 0.06, 75),
    ground: colour(0.32, 0.08, 40),
    green: colour(0.64, 0.15, 55),
    water: colour(0.55, 0.07, 220),
  },
}

const ANY_HOUR = ['dawn', 'day', 'sunset', 'night', 'day', 'sunset'] as const
const DARK: readonly Hour[] = ['night', 'neon']
/** Largest hue rotation by the seed. */
const TURN = 14

export function moodOf(wish: Wish, random: SeededRandom): Mood {
  const anyHour = random.pick(ANY_HOUR)
  const hour = wish.hour ?? (wish.scene === 'space' ? 'night' : anyHour)
  const turn = random.between(-TURN, TURN)
  const tints = MOODS[hour]
  const tinted = (from: Colour, share = 0.22): Colour => {
    const turned = colour(from.l, from.c, from.h + turn)
    return wish.colour === null || wish.colour.c < 0.05 ? turned : mix(turned, { ...wish.colour, l: from.l }, share)
  }
  const freeAccent = colour(0.7, 0.18, tints.sky[2].h + random.pick([150, 180, 210]))
  return {
    hour,
    sky: [tinted(tints.sky[0]), tinted(tints.sky[1], 0.3), tinted(tints.sky[2])],
    light: tints.light,
    haze: tinted(tints.haze),
    ground: tinted(tints.ground, 0.1),
    green: tinted(tints.green, 0.1),
    water: tinted(tints.water),
    accent: wish.colour ?? freeAccent,
    isDark: DARK.includes(hour),
  }
}
