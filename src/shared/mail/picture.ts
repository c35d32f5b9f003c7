import { buffer } from 'node:stream/consumers'
import type { ArtifactStore } from '../artifacts/artifact-store.ts'
import type { ArtifactRecord } from '../jobs/rules/job.ts'

/** Bytes of a stored picture that is read for a mail. */
const MOST_READ = 2 * 1024 * 1024
/** Side of the picture in a mail, px; twice the width at which it is shown. */
const SIDE = 1040
const MOST_PIXELS = 50_000_000

/**
 * A picture for mails, as JPEG, which every mail program shows: from its thumbnail, or from the picture itself where that is
 * small. null: there is none. A mail is sent without it when it cannot be read.
 */
export const createPictureOf =
  (artifacts: Pick<ArtifactStore, 'open'>) =>
  async ({ key, bytes, thumbnail }: ArtifactRecord): Promise<Buffer | null> => {
    const from = thumbnail ?? { key, bytes }
    if (from.bytes > MOST_READ) return null
    try {
      const file = await artifacts.open(from.key)
      if (file === null) return null
      const { default: sharp } = await import('sharp')
      return await sharp(await buffer(file), { limitInputPixels: MOST_PIXELS, failOn: 'error' })
        .autoOrient()
        .resize(SIDE, SIDE, { fit: 'inside', withoutEnlargement: true })
        .flatten({ background: '#ffffff' })
        .jpeg({ quality: 80 })
        .toBuffer()
    } catch {
      return null
    }
  }
