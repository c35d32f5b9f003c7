/**
 * An MP4 of AV1 key frames. A still AVIF picture is one AV1 key frame, so the picture encoder suffices for video, and
 * identical frames are stored once.
 */

export interface Video {
  /** The distinct pictures: AVIF without transparency, all of one size. */
  pictures: readonly Buffer[]
  /** For each frame, the index of its picture. */
  frames: readonly number[]
  framesPerSecond: number
  width: number
  height: number
}

interface KeyFrame {
  /** The `av1C` box: the decoder configuration. */
  configuration: Buffer
  data: Buffer
}

export function toMp4(video: Video): Buffer {
  const keyFrames = video.pictures.map(keyFrameOf)
  const type = box('ftyp', latin('isom'), u32(512), latin('isomav01mp41'))
  const media = box('mdat', ...keyFrames.map(({ data }) => data))
  // Offsets have a fixed width, so the box has its final length even before they are known.
  const headerBytes = type.length + movieBox(video, keyFrames, 0).length + 8
  return Buffer.concat([type, movieBox(video, keyFrames, headerBytes), media])
}

/** Removes the temporal delimiter, which AVIF has before a frame and MP4 must not have. */
const TEMPORAL_DELIMITER = Buffer.from([0x12, 0])

function keyFrameOf(avif: Buffer): KeyFrame {
  const configurationAt = avif.indexOf('av1C') - 4
  const mediaAt = avif.indexOf('mdat') + 4
  if (configurationAt < 0 || mediaAt < 4) throw new Error('not an AVIF picture')
  const data = avif.subarray(mediaAt)
  return {
    configuration: avif.subarray(configurationAt, configurationAt + avif.readUInt32BE(configurationAt)),
    data: data.indexOf(TEMPORAL_DELIMITER) === 0 ? data.subarray(TEMPORAL_DELIMITER.length) : data,
  }
}

const IDENTITY = u32(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
const MILLISECONDS = 1000

function movieBox(video: Video, keyFrames: readonly KeyFrame[], mediaAt: number): Buffer {
  const { frames, framesPerSecond, width, height } = video
  const duration = Math.round((frames.length * MILLISECONDS) / framesPerSecond)
  const header = fullBox(
    'mvhd',
    0,
    u32(0, 0, MILLISECONDS, duration, 0x10000),
    u16(0x100, 0),
    u32(0, 0),
    IDENTITY,
    u32(0, 0, 0, 0, 0, 0, 2),
  )
  const trackHeader = fullBox(
    'tkhd',
    3,
    u32(0, 0, 1, 0, duration, 0, 0),
    u16(0, 0, 0, 0),
    IDENTITY,
    u32(width * 0x10000, height * 0x10000),
  )
  const mediaHeader = fullBox('mdhd', 0, u32(0, 0, framesPerSecond, frames.length), u16(UNDETERMINED_LANGUAGE, 0))
  const handler = fullBox('hdlr', 0, u32(0), latin('vide'), u32(0, 0, 0), latin('video\0'))
  const reference = box('dinf', fullBox('dref', 0, u32(1), fullBox('url ', 1)))
  const information = box(
    'minf',
    fullBox('vmhd', 1, u16(0, 0, 0, 0)),
    reference,
    sampleTable(video, keyFrames, mediaAt),
  )
  return box('moov', header, box('trak', trackHeader, box('mdia', mediaHeader, handler, information)))
}

const UNDETERMINED_LANGUAGE = 0x55c4
const DOTS_PER_INCH = 0x480000

/** Each frame is its own chunk, so several frames can share one offset. */
function sampleTable({ frames, width, height }: Video, keyFrames: readonly KeyFrame[], mediaAt: number): Buffer {
  const sizes = keyFrames.map(({ data }) => data.length)
  const offsets = sizes.map((_, i) => mediaAt + sizes.slice(0, i).reduce((sum, size) => sum + size, 0))
  const pick = (numbers: readonly number[]) => u32(...frames.map((i) => numbers[i] ?? 0))
  const entry = box(
    'av01',
    Buffer.alloc(6),
    u16(1),
    Buffer.alloc(16),
    u16(width, height),
    u32(DOTS_PER_INCH, DOTS_PER_INCH, 0),
    u16(1),
    Buffer.alloc(32),
    u16(24, 0xffff),
    keyFrames[0]?.configuration ?? Buffer.alloc(0),
  )
  return box(
    'stbl',
    fullBox('stsd', 0, u32(1), entry),
    fullBox('stts', 0, u32(1, frames.length, 1)),
    fullBox('stsc', 0, u32(1, 1, 1, 1)),
    fullBox('stsz', 0, u32(0, frames.length), pick(sizes)),
    fullBox('stco', 0, u32(frames.length), pick(offsets)),
  )
}

function box(name: string, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  return Buffer.concat([u32(content.length + 8), latin(name), content])
}

/** A box with a version, 0, and flags. */
function fullBox(name: string, flags: number, ...parts: Buffer[]): Buffer {
  return box(name, u32(flags), ...parts)
}

const latin = (text: string) => Buffer.from(text, 'latin1')

function u32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4)
  for (const [i, value] of values.entries()) bytes.writeUInt32BE(value, i * 4)
  return bytes
}

function u16(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 2)
  for (const [i, value] of values.entries()) bytes.writeUInt16BE(value, i * 2)
  return bytes
}
