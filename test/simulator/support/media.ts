import { wavOf } from '../../../src/simulator/film/sound.ts'
import { createServer, type RequestListener } from 'node:http'
import sharp from 'sharp'
import { onTestFinished } from 'vitest'

/** Generated media for tests. */

/** A faded grey photograph with white scratches and dark specks. */
export async function damagedPhoto({ width = 300, height = 200 } = {}) {
  const scratches = [0.2, 0.5, 0.8].map(
    (x) => `<rect x="${Math.round(width * x)}" y="0" width="1" height="${height}" fill="#fff"/>`,
  )
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">
    <defs><linearGradient id="g" x2="0" y2="1"><stop offset="0" stop-color="#a2a2a2"/><stop offset="1" stop-color="#666"/></linearGradient></defs>
    <rect width="${width}" height="${height}" fill="url(#g)"/>
    <circle cx="${width / 2}" cy="${height / 2}" r="${height / 4}" fill="#b4b4b4"/>
    ${scratches.join('')}<rect x="10" y="10" width="2" height="2" fill="#000"/></svg>`
  return sharp(Buffer.from(svg)).flatten().png().toBuffer()
}

/** A WAV of a tone that swells and fades twice a second. */
export function tone(seconds: number): Buffer {
  const rate = 8000
  const samples = Buffer.alloc(Math.round(seconds * rate) * 2)
  for (let i = 0; i < samples.length / 2; i++) {
    const loudness = Math.abs(Math.sin((i / rate) * Math.PI * 2))
    samples.writeInt16LE(Math.round(20_000 * loudness * Math.sin((i / rate) * 440 * 2 * Math.PI)), i * 2)
  }
  return wavOf(samples, rate)
}

export const dataUri = (bytes: Buffer, type: string): string => `data:${type};base64,${bytes.toString('base64')}`

/** A host for one test. */
export async function hostFor(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the host has no port')
  return `http://127.0.0.1:${address.port}`
}

export async function bytesAt(url: string): Promise<Buffer> {
  const response = await fetch(url)
  if (!response.ok) throw new Error(`${url} answered ${response.status}`)
  return Buffer.from(await response.arrayBuffer())
}
