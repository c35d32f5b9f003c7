import { request } from 'node:http'
import { beforeEach, describe, expect, test } from 'vitest'
import { simulatorFor, type TestSimulator } from './support/simulator.ts'

/** Faults of the output host. */

let simulator: TestSimulator
let url: string
let right: Buffer

const bytesOf = async (response: Response) => Buffer.from(await response.arrayBuffer())

beforeEach(async () => {
  simulator = await simulatorFor()
  const { body } = await simulator.create({ prompt: 'x', megapixels: '0.25' }, {}, { prefer: 'wait' })
  url = body.output[0]
  right = await bytesOf(await fetch(url))
})

describe('the output host', () => {
  test('slow: the right bytes, spread over the given time', async () => {
    await simulator.faults({ files: { slow: { seconds: 0.5, next: 1 } } })
    const started = performance.now()
    const response = await fetch(url)
    expect((await bytesOf(response)).equals(right)).toBe(true)
    expect(performance.now() - started).toBeGreaterThan(450)
  })

  test('endless: begins as the file, and never ends', async () => {
    await simulator.faults({ files: { endless: { next: 1 } } })
    const response = await fetch(url)
    expect(response.headers.get('content-length')).toBeNull()
    let size = 0
    let start = Buffer.alloc(0)
    for await (const chunk of response.body ?? []) {
      if (size < right.length) start = Buffer.concat([start, chunk])
      size += chunk.length
      if (size > right.length + 1_000_000) break
    }
    expect(start.subarray(0, right.length).equals(right)).toBe(true)
    expect((await fetch(url)).headers.get('content-length')).toBe(String(right.length))
  })

  test('wrong_length: too large breaks off, too small truncates', async () => {
    await simulator.faults({ files: { wrong_length: { by: 50, next: 1 } } })
    const short = await fetch(url)
    expect(short.headers.get('content-length')).toBe(String(right.length + 50))
    await expect(short.arrayBuffer()).rejects.toThrow()
    await simulator.faults({ files: { wrong_length: { by: -50, next: 1 } } })
    expect(await lengthTold(url)).toBe(String(right.length - 50))
    expect((await bytesOf(await fetch(url))).equals(right)).toBe(true)
  })

  test('redirect: to a private address or another URL', async () => {
    await simulator.faults({ files: { redirect: { next: 1 } } })
    const away = await fetch(url, { redirect: 'manual' })
    expect([away.status, away.headers.get('location')]).toEqual([302, 'http://169.254.169.254/latest/meta-data/'])
    await simulator.faults({ files: { redirect: { to: '?again', code: 307, next: 1 } } })
    const back = await fetch(url)
    expect([back.redirected, (await bytesOf(back)).equals(right)]).toEqual([true, true])
  })

  test('expired, and a reset in the middle', async () => {
    await simulator.faults({ files: { expired: { next: 1 } } })
    expect((await fetch(url)).status).toBe(404)
    await simulator.faults({ files: { expired: { code: 410, next: 1 } } })
    expect((await fetch(url)).status).toBe(410)
    await simulator.faults({ files: { cut: { next: 1 } } })
    await expect((await fetch(url)).arrayBuffer()).rejects.toThrow()
  })

  test('wrong_type: the picture as a page, or a page as the picture', async () => {
    await simulator.faults({ files: { wrong_type: { next: 1 } } })
    const picture = await fetch(url)
    expect([picture.headers.get('content-type'), (await bytesOf(picture)).equals(right)]).toEqual(['text/html', true])
    await simulator.faults({ files: { wrong_type: { page: true, next: 1 } } })
    const page = await fetch(url)
    expect([page.headers.get('content-type'), (await page.text()).slice(0, 15)]).toEqual([
      'image/webp',
      '<!DOCTYPE html>',
    ])
  })
})

/** The headers alone, even if the body fails. */
const lengthTold = (address: string) =>
  new Promise<string | undefined>((resolve, reject) => {
    request(address, (response) => {
      resolve(response.headers['content-length'])
      response.destroy()
    })
      .on('error', reject)
      .end()
  })
