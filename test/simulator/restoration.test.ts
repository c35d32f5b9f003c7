import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import { waitFor } from '../support/wait-for.ts'
import { bytesAt, damagedPhoto, dataUri, hostFor } from './support/media.ts'
import { finished, RESTORE, simulatorFor, type TestSimulator } from './support/simulator.ts'

async function restored(simulator: TestSimulator, input: object): Promise<Buffer> {
  const { status, body } = await simulator.post(RESTORE, { input }, { prefer: 'wait' })
  expect([status, body.status, body.error]).toEqual([201, 'succeeded', null])
  return bytesAt(body.output)
}

async function failure(simulator: TestSimulator, address: string): Promise<string> {
  const { status, body } = await simulator.post(RESTORE, { input: { input_image: address } })
  expect(status).toBe(201)
  const done = await finished(simulator, body.id)
  expect(done).toMatchObject({ status: 'failed', output: null })
  expect(done.started_at).toBeDefined()
  return done.error
}

describe('restore-image', () => {
  test('removes scratches and specks, restores contrast and colour, keeps the aspect ratio', async () => {
    const simulator = await simulatorFor()
    const photo = await damagedPhoto()
    const bytes = await restored(simulator, { input_image: dataUri(photo, 'image/png'), seed: 6 })
    const { format, width, height } = await sharp(bytes).metadata()
    expect([format, width, height]).toEqual(['png', 300, 200])
    const before = await sharp(photo).removeAlpha().raw().toBuffer()
    const after = await sharp(bytes).raw().toBuffer()
    const at = (pixels: Buffer, x: number, y: number) => [...pixels.subarray((y * 300 + x) * 3, (y * 300 + x) * 3 + 3)]
    const distance = (pixels: Buffer, x: number, y: number) =>
      Math.abs((at(pixels, x, y)[0] ?? 0) - (at(pixels, x + 4, y)[0] ?? 0))
    expect(distance(before, 60, 150)).toBeGreaterThan(80)
    expect(distance(after, 60, 150)).toBeLessThan(10)
    expect(at(before, 10, 10)).toEqual([0, 0, 0])
    expect(distance(after, 10, 10)).toBeLessThan(10)
    const range = (pixels: Buffer) =>
      pixels.reduce((m, v) => Math.max(m, v), 0) - pixels.reduce((m, v) => Math.min(m, v), 255)
    expect(range(after)).toBeGreaterThan(220)
    const colours = (pixels: Buffer) =>
      pixels.filter((red, i) => i % 3 === 0 && Math.abs(red - (pixels[i + 2] ?? 0)) > 30).length
    expect(colours(before)).toBe(0)
    expect(colours(after)).toBeGreaterThan(10_000)
  })

  test('the same picture and seed give the same bytes; format and seed change them', async () => {
    const simulator = await simulatorFor()
    const input_image = dataUri(await damagedPhoto(), 'image/png')
    const first = await restored(simulator, { input_image, seed: 4 })
    expect((await restored(simulator, { input_image, seed: 4 })).equals(first)).toBe(true)
    expect((await restored(simulator, { input_image, seed: 5 })).equals(first)).toBe(false)
    const jpg = await restored(simulator, { input_image, seed: 4, output_format: 'jpg' })
    expect((await sharp(jpg).metadata()).format).toBe('jpeg')
  })

  test('rotates a picture upright, and scales a large one down in its aspect ratio', async () => {
    const simulator = await simulatorFor()
    const large = await sharp(await damagedPhoto({ width: 3000, height: 1500 }))
      .withMetadata({ orientation: 6 })
      .jpeg()
      .toBuffer()
    const { width, height } = await sharp(
      await restored(simulator, { input_image: dataUri(large, 'image/jpeg'), output_format: 'jpg' }),
    ).metadata()
    expect(height / width).toBeCloseTo(2, 2)
    expect(width * height).toBeLessThanOrEqual(1.05 * 1024 * 1024)
  })

  test('accepts URLs, redirects, and its own outputs', async () => {
    const simulator = await simulatorFor()
    const photo = await damagedPhoto()
    const host = await hostFor((request, response) =>
      request.url === '/moved'
        ? response.writeHead(302, { location: '/photo.png' }).end()
        : response.writeHead(200, { 'content-type': 'image/png' }).end(photo),
    )
    await restored(simulator, { input_image: `${host}/moved` })
    const drawn = await simulator.create({ prompt: 'a boat', megapixels: '0.25' }, {}, { prefer: 'wait' })
    await simulator.faults({ files: { status: 1 } })
    const { body } = await simulator.post(RESTORE, { input: { input_image: drawn.body.output[0] } })
    expect((await finished(simulator, body.id)).status).toBe('succeeded')
  })

  test('an unusable input fails the run, free of charge', async () => {
    const simulator = await simulatorFor({ habits: { max_file_bytes: 100_000 } })
    const host = await hostFor((request, response) => {
      if (request.url === '/large') return response.end(Buffer.alloc(200_000))
      return response.writeHead(request.url === '/secret' ? 403 : 404).end()
    })
    const photo = await damagedPhoto()
    expect(await failure(simulator, `${host}/gone.png`)).toBe(`404 Client Error: Not Found for url: ${host}/gone.png`)
    expect(await failure(simulator, `${host}/secret`)).toMatch('403 Client Error: Forbidden')
    expect(await failure(simulator, `${host}/large`)).toMatch('Input file is too large')
    expect(await failure(simulator, 'http://127.0.0.1:1/x')).toMatch("HTTPConnectionPool(host='127.0.0.1', port=1)")
    expect(await failure(simulator, 'ftp://a/b')).toBe("Invalid URL 'ftp://a/b'")
    const text = dataUri(Buffer.from('no picture'), 'image/png')
    expect(await failure(simulator, text)).toBe("cannot identify image file '/tmp/input_image'")
    const half = dataUri(photo.subarray(0, photo.length / 2), 'image/png')
    expect(await failure(simulator, half)).toMatch('cannot identify image file')
    expect(await failure(simulator, `${simulator.apiUrl}/files/${'0'.repeat(26)}`)).toMatch('404 Client Error')
    const { predictions, spend } = await simulator.books()
    expect(spend).toBe(0)
    expect(predictions).toHaveLength(8)
  })

  test('is checked against its schema; a data URI of megabytes is accepted', async () => {
    const simulator = await simulatorFor()
    const fields = async (input: object) =>
      (await simulator.post(RESTORE, { input })).body.invalid_fields?.map((one: { field: string }) => one.field)
    expect(await fields({})).toEqual(['input'])
    expect(await fields({ input_image: 'no address', output_format: 'webp', safety_tolerance: 3 })).toEqual(
      expect.arrayContaining(['input.input_image', 'input.output_format', 'input.safety_tolerance']),
    )
    const noise = Buffer.from(Array.from({ length: 1000 * 1000 * 3 }, (_, i) => (i * 7919) % 251))
    const photo = await sharp(noise, { raw: { width: 1000, height: 1000, channels: 3 } })
      .png({ compressionLevel: 0 })
      .toBuffer()
    await restored(simulator, { input_image: dataUri(photo, 'image/png') })
  })

  test('stays starting until its input is fetched; a cancel does not wait for it', async () => {
    const simulator = await simulatorFor()
    const photo = await damagedPhoto()
    let deliver: (() => void) | undefined
    const host = await hostFor((_request, response) => void (deliver = () => response.end(photo)))
    const { body } = await simulator.post(RESTORE, { input: { input_image: `${host}/slow` } })
    const answer = await waitFor('the request for the input', () => deliver)
    expect((await simulator.get(`predictions/${body.id}`)).body.status).toBe('starting')
    answer()
    expect(await finished(simulator, body.id)).toMatchObject({ status: 'succeeded' })

    deliver = undefined
    const other = await simulator.post(RESTORE, { input: { input_image: `${host}/slow` } })
    await waitFor('the request for the input', () => deliver)
    expect((await simulator.post(`predictions/${other.body.id}/cancel`)).body.status).toBe('canceled')
  })
})
