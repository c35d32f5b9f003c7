/** Reads a sound's header and loudness, to make a film of its length with a mouth that moves with it. */

interface Pcm {
  samples: Buffer
  bytesPerSecond: number
}

/** Assumed rate of a sound with an unknown header: 128 kbit/s. */
const USUAL_BYTES_PER_SECOND = 16_000

/** Seconds of a sound: exact for WAV, estimated for everything else. */
export function secondsOf(sound: Buffer): number {
  const pcm = pcmOf(sound)
  return pcm === null ? sound.length / USUAL_BYTES_PER_SECOND : pcm.samples.length / pcm.bytesPerSecond
}

/** Loudness of each of `count` equal parts, relative to the loudest (0 to 1); null for anything but WAV. */
export function loudnessOf(sound: Buffer, count: number): number[] | null {
  const pcm = pcmOf(sound)
  if (pcm === null || pcm.samples.length < count * 2) return null
  const values = Math.floor(pcm.samples.length / 2)
  const means = Array.from({ length: count }, (_, part) => {
    const [from, to] = [Math.floor((part * values) / count), Math.floor(((part + 1) * values) / count)]
    let sum = 0
    for (let i = from; i < to; i++) sum += Math.abs(pcm.samples.readInt16LE(i * 2))
    return sum / Math.max(1, to - from)
  })
  const loudest = Math.max(...means)
  return loudest === 0 ? means : means.map((mean) => mean / loudest)
}

/** Samples of a 16-bit WAV file. */
function pcmOf(sound: Buffer): Pcm | null {
  if (sound.toString('latin1', 0, 4) !== 'RIFF' || sound.toString('latin1', 8, 12) !== 'WAVE') return null
  let bytesPerSecond = 0
  for (let at = 12; at + 8 <= sound.length;) {
    const [name, length] = [sound.toString('latin1', at, at + 4), sound.readUInt32LE(at + 4)]
    const body = sound.subarray(at + 8, Math.min(sound.length, at + 8 + length))
    if (name === 'fmt ' && body.length >= 16) {
      if (body.readUInt16LE(14) !== 16) return null
      bytesPerSecond = body.readUInt32LE(8)
    }
    if (name === 'data') return bytesPerSecond > 0 ? { samples: body, bytesPerSecond } : null
    at += 8 + length + (length % 2)
  }
  return null
}

/** Samples of 16 bits, one channel, as a WAV. `rate`: samples per second. */
export function wavOf(samples: Buffer, rate: number): Buffer {
  const header = Buffer.alloc(44)
  header.write('RIFF', 0)
  header.writeUInt32LE(36 + samples.length, 4)
  header.write('WAVEfmt ', 8)
  header.writeUInt32LE(16, 16)
  header.writeUInt16LE(1, 20)
  header.writeUInt16LE(1, 22)
  header.writeUInt32LE(rate, 24)
  header.writeUInt32LE(rate * 2, 28)
  header.writeUInt16LE(2, 32)
  header.writeUInt16LE(16, 34)
  header.write('data', 36)
  header.writeUInt32LE(samples.length, 40)
  return Buffer.concat([header, samples])
}

const SILENCE_RATE = 8000

/** A WAV of silence. */
export const silence = (seconds: number): Buffer =>
  wavOf(Buffer.alloc(Math.round(seconds * SILENCE_RATE) * 2), SILENCE_RATE)
