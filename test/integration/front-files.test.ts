import { createHash } from 'node:crypto'
import Replicate from 'replicate'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { auditDeployment } from '../support/audit.ts'
import { createOperator } from '../support/operator.ts'
import { startService, type TestService } from '../support/start-service.ts'
import { damagedPhoto } from '../simulator/support/media.ts'

/** Replicate's files in front: the uploads of a tenant. */

const RESTORE = 'flux-kontext-apps/restore-image'

let service: TestService
let photo: Buffer
/** Two tenants with Replicate's own client, and what they ask without it. */
let ours: Replicate
let theirs: Replicate
let ask: (path: string, init?: RequestInit) => Promise<Response>

beforeAll(async () => {
  service = await startService({ simulator: { speed: 200 }, env: { MAX_UPLOAD_BYTES: '2000000' } })
  photo = await damagedPhoto()
  const operator = createOperator(service)
  const baseUrl = `${service.url}/replicate/v1`
  const keyOf = async (): Promise<string> => (await operator.newKey(await operator.newTenant())).key
  const [key, other] = [await keyOf(), await keyOf()]
  ours = new Replicate({ auth: key, baseUrl, useFileOutput: false })
  theirs = new Replicate({ auth: other, baseUrl, useFileOutput: false })
  ask = (path, init = {}) => fetch(baseUrl + path, { ...init, headers: { authorization: `Bearer ${key}` } })
})
afterAll(() => service.stop())

const digest = (name: string, bytes: Buffer): string => createHash(name).update(bytes).digest('hex')
const idOf = (url: string): string => url.split('/').at(-1) ?? ''

test('a file is made, shown, listed, downloaded and deleted, by its tenant only', async () => {
  const file = new File([new Uint8Array(photo)], 'früh.png', { type: 'image/png' })
  const made = await ours.files.create(file, { customer: 17, nested: { a: [1] } })
  expect(made).toMatchObject({
    name: 'früh.png',
    content_type: 'image/png',
    size: photo.length,
    etag: digest('md5', photo),
    checksums: { sha256: digest('sha256', photo), md5: digest('md5', photo) },
    metadata: { customer: 17, nested: { a: [1] } },
    urls: { get: `${service.url}/replicate/v1/files/${made.id}` },
  })
  expect(Date.parse(made.expires_at ?? '') - Date.parse(made.created_at)).toBeCloseTo(86_400_000, -4)
  expect(await ours.files.get(made.id)).toEqual(made)
  expect((await ours.files.list()).results).toEqual([made])
  const download = await ask(`/files/${made.id}/download?owner=x&expiry=1&signature=x`)
  expect(Buffer.from(await download.arrayBuffer()).equals(photo)).toBe(true)

  expect((await theirs.files.list()).results).toEqual([])
  for (const attempt of [
    () => theirs.files.get(made.id),
    () => theirs.files.delete(made.id),
    () => ours.files.get(made.id.toUpperCase()),
    () => ours.files.get('nothing'),
  ])
    await expect(attempt()).rejects.toThrow('{"detail":"File not found","status":404}')

  expect(await ours.files.delete(made.id)).toBe(true)
  await expect(ours.files.get(made.id)).rejects.toThrow('404')
  expect((await ours.files.list()).results).toEqual([])
})

test('its URL under any origin is the file in an input, and stays with the job when the file is deleted', async () => {
  const made = await ours.files.create(new Blob([new Uint8Array(photo)], { type: 'image/png' }))
  const elsewhere = `https://api.example.com/replicate/v1/files/${made.id}`
  const created = await ours.predictions.create({ model: RESTORE, input: { input_image: elsewhere } })
  expect(created.input).toEqual({ input_image: made.urls.get })
  await expect(theirs.predictions.create({ model: RESTORE, input: { input_image: made.urls.get } })).rejects.toThrow(
    'The upload does not exist or has expired.',
  )
  expect(await ours.files.delete(made.id)).toBe(true)
  await expect(ours.files.get(made.id)).rejects.toThrow('404')
  expect(await ours.wait(created, { interval: 50 })).toMatchObject({ status: 'succeeded' })
  // A buffer of an input is a file too.
  const output = await ours.run(RESTORE, { input: { input_image: photo } })
  expect(output).toMatch(/^http/)
})

test('pages go both ways', async () => {
  const small = Array.from({ length: 101 }, (_, i) => Buffer.from(`a text, ${i}`))
  const made: string[] = []
  for (const text of small) made.push((await theirs.files.create(text)).id)
  const newest = made.toReversed()
  const first = (await theirs.files.list()) as unknown as Page
  const ids = ({ results }: Page): string[] => results.map(({ id }) => id)
  expect(ids(first)).toEqual(newest.slice(0, 100))
  expect(first.previous).toBeNull()
  const get = async (url: string | null): Promise<Page> =>
    (await (await theirs.request(idOf(url ?? ''), { method: 'GET' })).json()) as Page
  const second = await get(first.next)
  expect([ids(second), second.next]).toEqual([newest.slice(100), null])
  const back = await get(second.previous)
  expect([ids(back), back.previous]).toEqual([newest.slice(0, 100), null])
})

interface Page {
  results: { id: string; content_type: string }[]
  next: string | null
  previous: string | null
}

test('fields as curl sends them, and what is refused leaves nothing', async () => {
  const form = (parts: [string, string | Blob, string?][]): FormData => {
    const body = new FormData()
    for (const [name, value, file] of parts)
      if (typeof value === 'string') body.append(name, value)
      else body.append(name, value, file)
    return body
  }
  const post = async (...parts: [string, string | Blob, string?][]) => {
    const response = await ask('/files', { method: 'POST', body: form(parts) })
    return { status: response.status, body: (await response.json()) as Record<string, unknown> }
  }
  const text = new Blob(['{"a":1}'], { type: 'application/octet-stream' })
  const typed = await post(
    ['type', 'application/json'],
    ['filename', 'given.json'],
    ['content', text, 'x'],
    ['metadata', '{"a":"b"}'],
  )
  expect(typed).toMatchObject({
    status: 201,
    body: { name: 'given.json', content_type: 'application/json', metadata: { a: 'b' } },
  })
  expect(await ours.files.delete(String(typed.body['id']))).toBe(true)

  const refused: [number, RegExp, Parameters<typeof post>][] = [
    [413, /^Files must be less than 2MB in size$/, [['content', new Blob([Buffer.alloc(2_000_001, 'a')]), 'a.txt']]],
    [422, /content is required/, [['metadata', '{}']]],
    [
      422,
      /metadata/,
      [
        ['content', text, 'a.json'],
        ['metadata', '[]'],
      ],
    ],
    [
      422,
      /metadata/,
      [
        ['content', text, 'a.json'],
        ['metadata', `{"a":${'['.repeat(7000)}${']'.repeat(7000)}}`],
      ],
    ],
    [422, /filename/, [['content', text, 'a'.repeat(256)]]],
    [
      422,
      /one file/,
      [
        ['content', text, 'a.json'],
        ['content', text, 'b.json'],
      ],
    ],
    [415, /application\/octet-stream/, [['content', new Blob([new Uint8Array([1, 2, 3])]), 'a.bin']]],
  ]
  for (const [status, detail, parts] of refused) {
    const answer = await post(...parts)
    expect([answer.status, answer.body['detail']]).toEqual([status, expect.stringMatching(detail)])
  }
  expect((await ours.files.list()).results).toMatchObject([{ content_type: 'image/png' }])
  expect(await auditDeployment(service)).toEqual([])
})
