import sharp, { type Sharp } from 'sharp'
import { composePicture } from './compose-picture.ts'

export interface PictureRequest {
  prompt: string
  seed: number
  /** `16:9`; anything else is a square. */
  aspectRatio: string
  megapixels: number
  format: 'webp' | 'jpg' | 'png'
  /** 0 to 100, not for png. */
  quality: number
}

/** Sides of FLUX pictures are multiples of 32. */
const STEP = 32

/** Draws a picture. The same request gives the same bytes. */
export async function drawPicture(request: PictureRequest): Promise<Buffer> {
  const { width, height } = sizeOf(request.aspectRatio, request.megapixels)
  const svg = composePicture({ prompt: request.prompt, seed: request.seed, width, height })
  const picture = sharp(Buffer.from(svg)).flatten({ background: '#888' })
  const quality = Math.max(1, Math.min(100, Math.round(request.quality)))
  return ENCODERS[request.format](picture, quality).toBuffer()
}

const ENCODERS: Record<PictureRequest['format'], (picture: Sharp, quality: number) => Sharp> = {
  png: (picture) => picture.png({ compressionLevel: 4 }),
  jpg: (picture, quality) => picture.jpeg({ quality }),
  webp: (picture, quality) => picture.webp({ quality, effort: 1 }),
}

/** Width and height for about this many megapixels. */
export function sizeOf(aspectRatio: string, megapixels: number): { width: number; height: number } {
  const [, across = '1', down = '1'] = /^(\d{1,3}):(\d{1,3})$/.exec(aspectRatio) ?? []
  const ratio = Math.min(4, Math.max(0.25, Number(across) / Math.max(1, Number(down))))
  const pixels = (megapixels > 0 ? Math.min(megapixels, 4) : 1) * 1024 * 1024
  return { width: side(Math.sqrt(pixels * ratio)), height: side(Math.sqrt(pixels / ratio)) }
}

const side = (length: number) => Math.max(STEP, Math.round(length / STEP) * STEP)
