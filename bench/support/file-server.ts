import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import sharp from 'sharp'

/** Serves files of 1 MB like an output host: `/files/bytes/<n>` without a media type, `/files/pictures/<n>` as JPEG. */

const MB = 1024 * 1024
const DIFFERENT = 16

/** A picture with the detail of a photograph: enlarged noise, at a quality that results in about 1 MB. */
async function picture(): Promise<Buffer> {
  const [width, height] = [1600, 1200]
  const noise = { raw: { width: width / 2, height: height / 2, channels: 3 as const } }
  return sharp(randomBytes((width / 2) * (height / 2) * 3), noise)
    .resize(width, height, { kernel: 'cubic' })
    .jpeg({ quality: 83 })
    .toBuffer()
}

const files = new Map<string, { type: string; bodies: Buffer[] }>([
  ['bytes', { type: 'application/octet-stream', bodies: Array.from({ length: DIFFERENT }, () => randomBytes(MB)) }],
  ['pictures', { type: 'image/jpeg', bodies: await Promise.all(Array.from({ length: DIFFERENT }, picture)) }],
])

const server = createServer((request, response) => {
  const [, , kind = '', at = ''] = (request.url ?? '').split('/')
  const { type, bodies } = files.get(kind) ?? { type: '', bodies: [] }
  const body = bodies[Number(at) % DIFFERENT]
  if (!body) return void response.writeHead(404).end()
  response.writeHead(200, { 'content-type': type, 'content-length': body.length }).end(body)
})
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo
  const size = files.get('pictures')?.bodies[0]?.length ?? 0
  process.stdout.write(`ready ${port} ${(size / MB).toFixed(2)}\n`)
})
