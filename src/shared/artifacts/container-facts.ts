/** Duration and size of audio and video, read from the headers of some containers without decoding. */

export interface ContainerFacts {
  /** px */
  width: number | null
  height: number | null
  /** s */
  duration: number | null
}

/** Reads bytes of a file from `at`; fewer at its end. */
export type ReadBytes = (at: number, length: number) => Promise<Buffer>

/** Limit of parts that are searched. */
const MAX_PARTS = 500

interface Box {
  type: string
  /** Bounds of the content. */
  start: number
  end: number
}

/** Boxes between two positions, up to the first invalid one (ISO/IEC 14496-12, section 4.2). */
async function boxesOf(read: ReadBytes, from: number, to: number): Promise<Box[]> {
  const boxes: Box[] = []
  for (let at = from; at + 8 <= to && boxes.length < MAX_PARTS;) {
    const head = await read(at, 16)
    if (head.length < 8) break
    const declared = head.readUInt32BE(0)
    const isLarge = declared === 1
    if (isLarge && head.length < 16) break
    const size = isLarge ? Number(head.readBigUInt64BE(8)) : declared === 0 ? to - at : declared
    const header = isLarge ? 16 : 8
    if (size < header || at + size > to) break
    boxes.push({ type: head.toString('latin1', 4, 8), start: at + header, end: at + size })
    at += size
  }
  return boxes
}

/** MP4 and QuickTime: duration from `mvhd`, size from the largest `tkhd`. */
export async function readMp4Facts(read: ReadBytes, bytes: number): Promise<ContainerFacts> {
  const facts: ContainerFacts = { width: null, height: null, duration: null }
  const moov = (await boxesOf(read, 0, bytes)).find(({ type }) => type === 'moov')
  if (!moov) return facts
  for (const box of await boxesOf(read, moov.start, moov.end)) {
    if (box.type === 'mvhd') facts.duration = movieDuration(await read(box.start, 32))
    if (box.type !== 'trak') continue
    const tkhd = (await boxesOf(read, box.start, box.end)).find(({ type }) => type === 'tkhd')
    const size = tkhd && trackSize(await read(tkhd.start, Math.min(tkhd.end - tkhd.start, 128)))
    if (size && size.width * size.height > (facts.width ?? 0) * (facts.height ?? 0)) Object.assign(facts, size)
  }
  return facts
}

function movieDuration(mvhd: Buffer): number | null {
  const isLong = mvhd[0] === 1
  if (mvhd.length < (isLong ? 32 : 20)) return null
  const timescale = mvhd.readUInt32BE(isLong ? 20 : 12)
  const duration = isLong ? Number(mvhd.readBigUInt64BE(24)) : mvhd.readUInt32BE(16)
  // All bits set: unknown.
  const isKnown = duration > 0 && timescale > 0 && (isLong || duration !== 0xff_ff_ff_ff)
  return isKnown ? duration / timescale : null
}

/** Displayed size: a rotation by a quarter turn swaps width and height. */
function trackSize(tkhd: Buffer): { width: number; height: number } | null {
  const matrixAt = tkhd[0] === 1 ? 52 : 40
  if (tkhd.length < matrixAt + 44) return null
  const width = tkhd.readUInt32BE(matrixAt + 36) / 0x1_00_00
  const height = tkhd.readUInt32BE(matrixAt + 40) / 0x1_00_00
  const isTurned = tkhd.readInt32BE(matrixAt) === 0 && tkhd.readInt32BE(matrixAt + 4) !== 0
  return isTurned ? { width: height, height: width } : { width, height }
}

/** WAV: the bytes of audio divided by the bytes per second. */
export async function readWavFacts(read: ReadBytes, bytes: number): Promise<ContainerFacts> {
  let bytesPerSecond = 0
  let at = 12
  for (let part = 0; part < MAX_PARTS && at + 8 <= bytes; part++) {
    const head = await read(at, 24)
    if (head.length < 8) break
    const type = head.toString('latin1', 0, 4)
    const size = head.readUInt32LE(4)
    if (type === 'fmt ' && head.length >= 20) bytesPerSecond = head.readUInt32LE(16)
    if (type === 'data') {
      // A streamed file has no size in its header.
      const sound = size === 0 || size === 0xff_ff_ff_ff ? bytes - at - 8 : Math.min(size, bytes - at - 8)
      return { width: null, height: null, duration: bytesPerSecond > 0 ? sound / bytesPerSecond : null }
    }
    at += 8 + size + (size % 2)
  }
  return { width: null, height: null, duration: null }
}
