import sharp, { type Sharp } from 'sharp'

export interface RestorationRequest {
  picture: Buffer
  /** Slightly warmer or cooler. */
  seed: number
  format: 'jpg' | 'png'
}

/** Larger pictures are scaled down, keeping their aspect ratio. */
const MAXIMUM_PIXELS = 1024 * 1024
/** Larger pictures are not decoded. */
export const MAXIMUM_INPUT_PIXELS = 100_000_000
/** Features narrower than this count as scratches; larger detail must stay. */
const SMALL_SIDE = 400
/** A picture whose colours differ by less than this (of 255) counts as monochrome. */
const GREY = 8

/**
 * Restores an old photograph: removes specks and thin scratches, stretches contrast, strengthens colours; colours a
 * grey or brown one like skin, wood and sky by its lights and shadows. The same request gives the same bytes.
 */
export async function restorePicture({ picture, seed, format }: RestorationRequest): Promise<Buffer> {
  const upright = await sharp(picture, { limitInputPixels: MAXIMUM_INPUT_PIXELS })
    .autoOrient()
    .flatten({ background: '#ffffff' })
    .toColourspace('srgb')
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true })
  const { width, height, channels } = upright.info
  const shrink = Math.min(1, Math.sqrt(MAXIMUM_PIXELS / (width * height)))
  const raw = sharp(upright.data, { raw: { width, height, channels } })
  const size = { width: Math.max(1, Math.round(width * shrink)), height: Math.max(1, Math.round(height * shrink)) }
  const clean = shrink < 1 ? raw.resize({ ...size, fit: 'fill' }) : raw
  // Two steps: the contrast range is computed first; one pipeline would compute the median twice.
  const side = Math.min(size.width, size.height)
  // A picture of one or two pixels has no specks.
  const smooth = await (side < 3 ? clean : clean.median(side < SMALL_SIDE ? 3 : 7))
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true })
  const mended = await sharp(smooth.data, { raw: { ...size, channels: smooth.info.channels } })
    .normalise({ lower: 1, upper: 99 })
    .sharpen()
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true })
  const restored = withColours(mended.data, mended.info.channels, warmthOf(seed))
  const coloured = sharp(restored, { raw: { ...size, channels: 3 } })
  return encoded(coloured, format).toBuffer()
}

const encoded = (picture: Sharp, format: 'jpg' | 'png') =>
  format === 'jpg' ? picture.jpeg({ quality: 92 }) : picture.png({ compressionLevel: 4 })

/** From -6 to 6. */
const warmthOf = (seed: number) => ((((Math.trunc(seed) % 13) + 13) % 13) - 6) | 0

const SATURATION = 1.35

/** @returns three channels */
function withColours(pixels: Buffer, channels: number, warmth: number): Buffer {
  const isGrey = differenceOf(pixels, channels) < GREY
  const coloured = Buffer.alloc((pixels.length / channels) * 3)
  for (let from = 0, to = 0; from < pixels.length; from += channels, to += 3) {
    const red = pixels[from] ?? 0
    const green = channels < 3 ? red : (pixels[from + 1] ?? 0)
    const blue = channels < 3 ? red : (pixels[from + 2] ?? 0)
    const light = 0.299 * red + 0.587 * green + 0.114 * blue
    const tint = isGrey ? TINTS[Math.round(light)] : undefined
    coloured[to] = clamp((tint?.red ?? light + (red - light) * SATURATION) + warmth)
    coloured[to + 1] = clamp(tint?.green ?? light + (green - light) * SATURATION)
    coloured[to + 2] = clamp((tint?.blue ?? light + (blue - light) * SATURATION) - warmth)
  }
  return coloured
}

const LIGHTS = 16

/**
 * Average colour difference between pixels of the same lightness: zero in grey, and near zero in sepia, where the
 * colour follows from the lightness.
 */
function differenceOf(pixels: Buffer, channels: number): number {
  if (channels < 3) return 0
  const warmth = new Float64Array(LIGHTS)
  const counts = new Float64Array(LIGHTS)
  const lightOf = (i: number) => (pixels[i + 1] ?? 0) >> 4
  const warmthOfPixel = (i: number) => (pixels[i] ?? 0) - (pixels[i + 2] ?? 0)
  for (let i = 0; i < pixels.length; i += channels) {
    const light = lightOf(i)
    warmth[light] = (warmth[light] ?? 0) + warmthOfPixel(i)
    counts[light] = (counts[light] ?? 0) + 1
  }
  let sum = 0
  for (let i = 0; i < pixels.length; i += channels) {
    const light = lightOf(i)
    sum += Math.abs(warmthOfPixel(i) - (warmth[light] ?? 0) / (counts[light] ?? 1))
  }
  return (sum * channels) / pixels.length
}

const clamp = (value: number) => (value < 0 ? 0 : value > 255 ? 255 : Math.round(value))

/** For each lightness a colour: cool shadows, warm middle tones, a clear sky in the lights. */
const TINTS = Array.from({ length: 256 }, (_, value) => {
  const light = value / 255
  const middle = Math.sin(Math.PI * light)
  const high = Math.max(0, light - 0.6) / 0.4
  const low = Math.max(0, 0.35 - light) / 0.35
  return {
    red: value + 42 * middle - 26 * high - 6 * low,
    green: value + 6 * middle - 4 * high,
    blue: value - 38 * middle + 30 * high + 22 * low,
  }
})
