import sharp from 'sharp'
import { MAXIMUM_INPUT_PIXELS } from '../restoration/restore-picture.ts'
import { seededRandom } from '../seeded-random.ts'
import { toMp4 } from './mp4.ts'
import { loudnessOf } from './sound.ts'

export interface FilmRequest {
  picture: Buffer
  sound: Buffer
  /** Chooses the movement when the sound cannot be read. */
  seed: number
  frames: number
  framesPerSecond: number
}

/** The longer side. */
const SIDE = 480
/** Mouth positions, from closed to open. */
const POSES = 6
/** Everything below this line moves. */
const MOUTH_AT = 0.62
/** Opening of the last pose, as a share of the height. */
const WIDEST = 0.05

/** An MP4 in which the lower part of the picture moves with the sound. The same request gives the same bytes. */
export async function makeFilm({ picture, sound, seed, frames, framesPerSecond }: FilmRequest): Promise<Buffer> {
  const base = await sharp(picture, { limitInputPixels: MAXIMUM_INPUT_PIXELS, pages: 1 })
    .autoOrient()
    .flatten({ background: '#ffffff' })
    .toColourspace('srgb')
    .resize({ width: SIDE, height: SIDE, fit: 'inside' })
    .removeAlpha()
    .png({ compressionLevel: 1 })
    .toBuffer({ resolveWithObject: true })
  const size = { width: even(base.info.width), height: even(base.info.height) }
  const still = await sharp(base.data)
    .resize({ ...size, fit: 'fill' })
    .png({ compressionLevel: 1 })
    .toBuffer()
  const pictures: Buffer[] = []
  for (let pose = 0; pose < POSES; pose++) pictures.push(await drawPose(still, size, pose))
  const shown = openings(sound, seed, frames).map((open) => Math.round(open * (POSES - 1)))
  return toMp4({ pictures, frames: shown, framesPerSecond, ...size })
}

interface Size {
  width: number
  height: number
}

/** Chroma subsampling needs even sides; AV1 has a minimum size. */
const even = (length: number) => Math.max(16, Math.round(length / 2) * 2)

async function drawPose(still: Buffer, { width, height }: Size, pose: number): Promise<Buffer> {
  const top = Math.round(height * MOUTH_AT)
  const drop = Math.round((height * WIDEST * pose) / (POSES - 1))
  const lower = await sharp(still)
    .extract({ left: 0, top, width, height: height - top })
    .resize({ width, height: height - top + drop, fit: 'fill' })
    .png({ compressionLevel: 1 })
    .toBuffer()
  const jaw = await sharp(lower)
    .extract({ left: 0, top: 0, width, height: height - top })
    .png({ compressionLevel: 1 })
    .toBuffer()
  return sharp(still)
    .composite([{ input: jaw, left: 0, top }])
    .removeAlpha()
    .avif({ quality: 55, effort: 0, chromaSubsampling: '4:2:0' })
    .toBuffer()
}

/** Mouth opening of each frame, from 0 to 1. */
function openings(sound: Buffer, seed: number, frames: number): number[] {
  const loudness = loudnessOf(sound, frames)
  if (loudness !== null) return loudness
  const random = seededRandom('film', seed)
  let open = 0
  return Array.from({ length: frames }, () => (open = Math.max(0, Math.min(1, open + random.between(-0.5, 0.5)))))
}
