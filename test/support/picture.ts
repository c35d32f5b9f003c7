import { randomBytes } from 'node:crypto'
import sharp from 'sharp'

/** A PNG of noise: about three bytes for each pixel. */
export const noisyPicture = (side: number): Promise<Buffer> =>
  sharp(randomBytes(side * side * 3), { raw: { width: side, height: side, channels: 3 } })
    .png()
    .toBuffer()
