import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import sharp from 'sharp'
import { beforeAll, describe, expect, test } from 'vitest'
import { readMp4Facts, readWavFacts } from '../../src/shared/artifacts/container-facts.ts'
import { createMeasureFile } from '../../src/shared/artifacts/measure-file.ts'
import { createLogger } from '../../src/shared/process/logger.ts'
import { makeFilm } from '../../src/simulator/film/make-film.ts'
import { tempDir } from '../support/temp-dir.ts'

const measureAt = createMeasureFile(createLogger({ level: 'silent', readable: false }))
const folder = tempDir()
let files = 0

const measure = (bytes: Buffer, mediaType: string) => {
  const path = join(folder, String(files++))
  writeFileSync(path, bytes)
  return measureAt(path, mediaType)
}
const NOTHING = { width: null, height: null, duration: null, thumbnail: null }
const plain = (width: number, height: number) =>
  sharp({ create: { width, height, channels: 3, background: { r: 200, g: 80, b: 10 } } })

/** 16-bit sound, mono. */
function wav(seconds: number, size?: number): Buffer {
  const rate = 8000
  const samples = Buffer.alloc(seconds * rate * 2)
  const head = Buffer.alloc(44)
  head.write('RIFF', 0)
  head.writeUInt32LE(36 + samples.length, 4)
  head.write('WAVEfmt ', 8)
  head.writeUInt32LE(16, 16)
  head.writeUInt16LE(1, 20)
  head.writeUInt16LE(1, 22)
  head.writeUInt32LE(rate, 24)
  head.writeUInt32LE(rate * 2, 28)
  head.writeUInt16LE(2, 32)
  head.writeUInt16LE(16, 34)
  head.write('data', 36)
  head.writeUInt32LE(size ?? samples.length, 40)
  return Buffer.concat([head, samples])
}

const box = (type: string, ...parts: Buffer[]): Buffer => {
  const content = Buffer.concat(parts)
  const head = Buffer.alloc(8)
  head.writeUInt32BE(8 + content.length)
  head.write(type, 4, 'latin1')
  return Buffer.concat([head, content])
}
const uint32 = (...values: number[]): Buffer => {
  const bytes = Buffer.alloc(values.length * 4)
  values.forEach((value, i) => bytes.writeUInt32BE(value, i * 4))
  return bytes
}
/** One track; version 0 of its boxes. `turned`: shown after a quarter turn. */
const mp4 = (turned = false): Buffer => {
  const matrix = turned
    ? uint32(0, 0x10000, 0, 0xffff0000, 0, 0, 0, 0, 0x40000000)
    : uint32(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
  const tkhd = box('tkhd', uint32(3, 0, 0, 1, 0, 4500, 0, 0, 0, 0), matrix, uint32(1280 << 16, 720 << 16))
  const mvhd = box('mvhd', uint32(0, 0, 0, 1000, 4500), Buffer.alloc(80))
  return Buffer.concat([
    box('ftyp', Buffer.from('isom')),
    box('mdat', Buffer.alloc(100)),
    box('moov', mvhd, box('trak', tkhd)),
  ])
}

describe('of a picture', () => {
  test.each(['png', 'jpeg', 'webp', 'gif', 'avif'] as const)(
    '%s the size is known, and a large one has a small one',
    async (format) => {
      const facts = await measure(await plain(1200, 600).toFormat(format).toBuffer(), `image/${format}`)
      expect(facts).toMatchObject({ width: 1200, height: 600, duration: null })
      const small = await sharp(facts.thumbnail ?? Buffer.alloc(0)).metadata()
      expect(small).toMatchObject({ format: 'webp', width: 512, height: 256 })
    },
  )

  test('that is small itself there is no smaller one', async () => {
    expect(await measure(await plain(512, 300).png().toBuffer(), 'image/png')).toEqual({
      ...NOTHING,
      width: 512,
      height: 300,
    })
  })

  test('that lies on its side the size is that which is shown', async () => {
    const turned = await plain(1200, 600).withMetadata({ orientation: 6 }).jpeg().toBuffer()
    const { thumbnail, ...facts } = await measure(turned, 'image/jpeg')
    expect(facts).toEqual({ width: 600, height: 1200, duration: null })
    expect(await sharp(thumbnail ?? Buffer.alloc(0)).metadata()).toMatchObject({ width: 256, height: 512 })
  })

  test('that moves the time of all its pictures is known', async () => {
    const frames = [0, 80, 160, 240].map((red) => ({
      create: { width: 64, height: 48, channels: 3 as const, background: { r: red, g: 0, b: 0 } },
    }))
    const inputs = await Promise.all(frames.map((frame) => sharp(frame).png().toBuffer()))
    const moving = await sharp(inputs, { join: { animated: true } })
      .webp({ delay: [100, 200, 300, 400] })
      .toBuffer()
    expect(await measure(moving, 'image/webp')).toMatchObject({ width: 64, height: 48, duration: 1 })
  })
})

describe('of sound and film', () => {
  test('WAV the duration is known, also when its header lacks it', async () => {
    expect(await measure(wav(3), 'audio/wav')).toEqual({ ...NOTHING, duration: 3 })
    expect(await measure(wav(3, 0), 'audio/wav')).toEqual({ ...NOTHING, duration: 3 })
    expect(await measure(wav(3, 0xffffffff), 'audio/wav')).toEqual({ ...NOTHING, duration: 3 })
  })

  test('MP4 size and duration are known, as it is shown', async () => {
    expect(await measure(mp4(), 'video/mp4')).toEqual({ ...NOTHING, width: 1280, height: 720, duration: 4.5 })
    expect(await measure(mp4(true), 'video/quicktime')).toMatchObject({ width: 720, height: 1280 })
  })

  test('a film of the simulator too', async () => {
    const picture = await plain(320, 200).png().toBuffer()
    const film = await makeFilm({ picture, sound: wav(2), seed: 1, frames: 20, framesPerSecond: 10 })
    const { width, height, duration } = await measure(film, 'video/mp4')
    expect([(width ?? 0) / (height ?? 1), duration]).toEqual([1.6, 2])
  })
})

describe('nothing is known, and nothing is hurt,', () => {
  let bomb: Buffer
  beforeAll(async () => {
    // 12,000 x 12,000 pixels in some kB: decoded, 430 MB.
    bomb = await plain(12_000, 12_000).png({ compressionLevel: 9 }).toBuffer()
  })

  test('by a picture of too many pixels: it is not decoded', async () => {
    const before = process.memoryUsage.rss()
    expect(await measure(bomb, 'image/png')).toEqual({ ...NOTHING, width: 12_000, height: 12_000 })
    expect(process.memoryUsage.rss() - before).toBeLessThan(150 * 1024 * 1024)
  })

  test('by a picture that breaks off: its size is known, a small one is not made', async () => {
    const whole = await sharp(randomBytes(900 * 900 * 3), { raw: { width: 900, height: 900, channels: 3 } })
      .jpeg()
      .toBuffer()
    expect(await measure(whole.subarray(0, whole.length / 2), 'image/jpeg')).toEqual({
      ...NOTHING,
      width: 900,
      height: 900,
    })
  })

  test.each(['image/png', 'image/jpeg', 'image/webp', 'image/gif', 'image/avif', 'video/mp4', 'audio/wav'])(
    'by %s that is none',
    async (mediaType) => {
      for (const bytes of [Buffer.alloc(0), Buffer.from('x'), randomBytes(5000)])
        expect(await measure(bytes, mediaType)).toEqual(NOTHING)
    },
  )

  test('by a type that is not measured', async () => {
    const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9000" height="9000"/>')
    for (const type of ['image/svg+xml', 'application/pdf', 'text/plain', 'image/tiff'])
      expect(await measure(svg, type)).toEqual(NOTHING)
    expect(await measureAt(join(folder, 'not-there'), 'image/png')).toEqual(NOTHING)
  })

  test('by heads that say anything', async () => {
    const heads = fc.oneof(fc.uint8Array({ maxLength: 300 }), spoiled(mp4()), spoiled(wav(1).subarray(0, 300)))
    await fc.assert(
      fc.asyncProperty(heads, async (head) => {
        const bytes = Buffer.from(head)
        let reads = 0
        const read = async (at: number, length: number): Promise<Buffer> => {
          expect(length).toBeLessThanOrEqual(128)
          reads++
          return bytes.subarray(at, at + length)
        }
        for (const look of [readMp4Facts, readWavFacts]) {
          const { width, height, duration } = await look(read, bytes.length)
          for (const value of [width, height, duration]) expect(value === null || Number.isFinite(value)).toBe(true)
        }
        expect(reads).toBeLessThan(300)
      }),
    )
  })
})

/** Some of its bytes are others. */
const spoiled = (bytes: Buffer): fc.Arbitrary<Uint8Array> =>
  fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { maxLength: 12 }).map((changes) => {
    const copy = Uint8Array.from(bytes)
    for (const [at, value] of changes) copy[at] = value
    return copy
  })

test('many pictures at once are measured a few at a time, and all of them', async () => {
  const picture = await plain(900, 900).jpeg().toBuffer()
  const all = await Promise.all(Array.from({ length: 12 }, () => measure(picture, 'image/jpeg')))
  expect(all.every(({ thumbnail }) => thumbnail !== null)).toBe(true)
})
