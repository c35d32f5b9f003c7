/** A perceptual colour: lightness 0-1, chroma 0-0.3, hue in degrees (the OKLCH space). */
export interface Colour {
  l: number
  c: number
  h: number
}

export const colour = (l: number, c: number, h: number): Colour => ({ l, c, h: (h + 720) % 360 })

/** Linear mix from `a` (0) to `b` (1): distant hues meet in grey, not in a third hue. */
export function mix(a: Colour, b: Colour, share: number): Colour {
  const from = plane(a)
  const to = plane(b)
  const [x, y] = [from.x + (to.x - from.x) * share, from.y + (to.y - from.y) * share]
  return colour(a.l + (b.l - a.l) * share, Math.hypot(x, y), (Math.atan2(y, x) * 180) / Math.PI)
}

const plane = ({ c, h }: Colour) => ({ x: c * Math.cos((h * Math.PI) / 180), y: c * Math.sin((h * Math.PI) / 180) })

export const lighter = (from: Colour, by: number): Colour => ({ ...from, l: Math.min(1, Math.max(0, from.l + by)) })

/** SVG notation; chroma outside the sRGB gamut is clipped. */
export function css({ l, c, h }: Colour): string {
  const angle = (h * Math.PI) / 180
  const [a, b] = [c * Math.cos(angle), c * Math.sin(angle)]
  const long = (l + 0.3963377774 * a + 0.2158037573 * b) ** 3
  const medium = (l - 0.1055613458 * a - 0.0638541728 * b) ** 3
  const short = (l - 0.0894841775 * a - 1.291485548 * b) ** 3
  const rgb = [
    4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
    -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
    -0.0041960863 * long - 0.7034186147 * medium + 1.707614701 * short,
  ]
  return `#${rgb.map(channel).join('')}`
}

function channel(linear: number): string {
  const clipped = Math.min(1, Math.max(0, linear))
  const value = clipped <= 0.0031308 ? 12.92 * clipped : 1.055 * clipped ** (1 / 2.4) - 0.055
  return Math.round(value * 255)
    .toString(16)
    .padStart(2, '0')
}
