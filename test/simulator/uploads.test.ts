import { createHash, createHmac } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { startSimulator } from '../../src/simulator/start-simulator.ts'
import { damagedPhoto } from './support/media.ts'
import {
  type Answer,
  callsTo,
  finished,
  RESTORE,
  simulatorFor,
  temporaryFolder,
  withCalls,
} from './support/simulator.ts'

interface UploadParts {
  content?: Blob
  name?: string
  fields?: Record<string, string | Blob>
}

async function upload(apiUrl: string, { content, name, fields = {} }: UploadParts): Promise<Answer> {
  const body = new FormData()
  if (content !== undefined) body.append('content', content, name ?? 'photo.png')
  for (const [field, value] of Object.entries(fields)) body.append(field, value)
  const response = await fetch(`${apiUrl}/files`, { method: 'POST', headers: { authorization: 'Bearer any' }, body })
  return { status: response.status, headers: response.headers, body: await response.json() }
}

const blob = (bytes: Buffer | string, type = 'image/png') => new Blob([new Uint8Array(Buffer.from(bytes))], { type })

describe('the files API', () => {
  test('keeps a file for 24 hours, shows it, lists it, deletes it', async () => {
    const simulator = await simulatorFor()
    const photo = await damagedPhoto()
    const metadata = new Blob(['{"customer":12}'], { type: 'application/json' })
    const { status, body } = await upload(simulator.apiUrl, { content: blob(photo), fields: { metadata } })
    expect(status).toBe(201)
    const hash = (name: string) => createHash(name).update(photo).digest('hex')
    expect(body).toMatchObject({
      name: 'photo.png',
      content_type: 'image/png',
      size: photo.length,
      checksums: { sha256: hash('sha256'), md5: hash('md5') },
      metadata: { customer: 12 },
      urls: { get: `${simulator.apiUrl}/files/${body.id}` },
    })
    expect(Date.parse(body.expires_at) - Date.parse(body.created_at)).toBe(86_400_000)
    expect((await simulator.get(body.urls.get)).body).toEqual(body)
    const second = await upload(simulator.apiUrl, { content: blob('abc', ''), fields: { filename: 'ä.bin' } })
    expect(second.body).toMatchObject({ name: 'ä.bin', content_type: 'application/octet-stream', metadata: {} })
    const { body: list } = await simulator.get('files')
    expect(list).toEqual({ next: null, previous: null, results: [second.body, body] })
    const removed = await simulator.call('DELETE', `files/${body.id}`)
    expect([removed.status, removed.body]).toEqual([204, ''])
    const gone = await simulator.get(`files/${body.id}`)
    expect([gone.status, gone.body.detail]).toEqual([404, 'File not found'])
    expect((await simulator.call('DELETE', `files/${body.id}`)).status).toBe(404)
    expect((await fetch(second.body.urls.get)).status).toBe(401)
  })

  test('refuses files that are too large, and bodies that are no upload', async () => {
    const simulator = await simulatorFor({ habits: { max_file_bytes: 2 * 1024 * 1024 } })
    for (const bytes of [2 * 1024 * 1024 + 1, 4 * 1024 * 1024]) {
      const large = await upload(simulator.apiUrl, { content: blob(Buffer.alloc(bytes)) })
      expect([large.status, large.body.detail]).toEqual([413, 'Files must be less than 2MB in size'])
    }
    expect((await upload(simulator.apiUrl, { fields: { other: 'x' } })).status).toBe(422)
    expect((await upload(simulator.apiUrl, { content: blob('x'), name: 'x'.repeat(256) })).status).toBe(422)
    expect((await upload(simulator.apiUrl, { content: blob('x'), fields: { metadata: '[1]' } })).status).toBe(422)
    expect((await simulator.post('files', { content: 'x' })).status).toBe(400)
    expect((await simulator.get('files')).body.results).toEqual([])
  })

  test('lists 100 a page', async () => {
    const simulator = await simulatorFor()
    const made = await Promise.all(Array.from({ length: 130 }, () => upload(simulator.apiUrl, { content: blob('x') })))
    const { body: first } = await simulator.get('files')
    const { body: second } = await simulator.get(first.next)
    expect([first.results.length, second.results.length, second.next]).toEqual([100, 30, null])
    const ids = [...first.results, ...second.results].map((one: { id: string }) => one.id)
    expect(new Set(ids)).toEqual(new Set(made.map(({ body }) => body.id)))
  })

  test('a signed URL downloads without a token, until it expires', async () => {
    const simulator = await simulatorFor()
    const { body } = await upload(simulator.apiUrl, { content: blob('the bytes', 'text/plain') })
    const { files_key: key } = (await simulator.get('/_sim/secret')).body
    const link = (owner: string, expiry: number, signedOwner = owner) => {
      const signature = createHmac('sha256', key).update(`${signedOwner} ${body.id} ${expiry}`).digest('base64')
      return `${body.urls.get}/download?${new URLSearchParams({ owner, expiry: String(expiry), signature }).toString()}`
    }
    const soon = Math.floor(Date.now() / 1000) + 60
    const response = await fetch(link('acme', soon))
    expect([response.headers.get('content-type'), await response.text()]).toEqual(['text/plain', 'the bytes'])
    for (const wrong of [
      link('acme', soon - 120),
      link('eve', soon),
      link('acme', soon, 'eve'),
      `${body.urls.get}/download`,
    ]) {
      expect((await fetch(wrong)).status).toBe(404)
    }
  })

  test('are input for predictions, also after a restart; expire by the clock; leave no bytes behind', async () => {
    const folder = temporaryFolder()
    const options = { port: 0, dataDir: folder, speed: 100 }
    const first = withCalls(await startSimulator(options))
    const { body: kept } = await upload(first.apiUrl, { content: blob(await damagedPhoto()) })
    const { body: doomed } = await upload(first.apiUrl, { content: blob('x') })
    const { body: run } = await first.post(RESTORE, { input: { input_image: kept.urls.get } })
    const { output } = await finished(first, run.id)
    const before = Buffer.from(await (await fetch(output)).arrayBuffer())
    await first.call('DELETE', `files/${doomed.id}`)
    await first.stop()

    const second = await simulatorFor({ dataDir: folder })
    expect((await second.get(`files/${kept.id}`)).body).toMatchObject({ size: kept.size, checksums: kept.checksums })
    const after = await fetch(`${second.url}${new URL(output).pathname}`)
    expect(Buffer.from(await after.arrayBuffer()).equals(before)).toBe(true)
    const again = await second.post(RESTORE, { input: { input_image: kept.urls.get } })
    expect((await finished(second, again.body.id)).status).toBe('succeeded')
    expect(readdirSync(`${folder}/blobs`)).toHaveLength(3)
    await second.post('/_sim/age', { seconds: 86_400 })
    expect((await second.get('files')).body.results).toEqual([])
    expect(readdirSync(`${folder}/blobs`)).toEqual([])
  })

  test('faults apply to it as to any other response', async () => {
    const simulator = await simulatorFor()
    await simulator.faults({ uploads: { status: { code: 503, next: 1 } } })
    expect((await callsTo(simulator.url).get('files')).status).toBe(503)
    await simulator.faults({ uploads: { cut: { next: 1 } } })
    await expect(upload(simulator.apiUrl, { content: blob('x') })).rejects.toThrow('fetch failed')
  })

  test('reset forgets the files and their bytes', async () => {
    const folder = temporaryFolder()
    const simulator = await simulatorFor({ dataDir: folder })
    await upload(simulator.apiUrl, { content: blob('x') })
    await simulator.post('/_sim/reset')
    expect((await simulator.get('files')).body.results).toEqual([])
    expect(existsSync(`${folder}/blobs`) ? readdirSync(`${folder}/blobs`) : []).toEqual([])
  })
})
