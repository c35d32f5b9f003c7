import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { artifactId, createArtifactLinks } from '../../src/shared/artifacts/rules/artifact-links.ts'
import { createLastingLinks } from '../../src/shared/artifacts/rules/lasting-links.ts'
import { oneKey, type SigningKeys } from '../../src/shared/values/signing-keys.ts'

const ID = artifactId('job_01ARZ3NDEKTSV4RRFFQ69G5FAV', 1, 0)
const FILE = {
  key: 's3://bucket/a/b.png',
  media_type: 'image/png',
  bytes: 7,
  sha256: 'ab',
  name: 'flux-01.png',
  tenant: 'default',
}
const key = oneKey(randomBytes(32))
const links = createLastingLinks(key)

function parts(path: string): [file: string, signature: string] {
  const { searchParams } = new URL(path, 'http://x')
  return [searchParams.get('file') ?? '', searchParams.get('signature') ?? '']
}

test('a link carries its file, and is read as it was made', async () => {
  const path = links.path(ID, '', FILE)
  expect(path).toMatch(new RegExp(`^/v1/artifacts/${ID}\\?file=[\\w-]+&signature=[\\w-]{32}$`))
  expect(await links.read(ID, '', ...parts(path))).toEqual(FILE)
  expect(links.path(ID, '', FILE)).toBe(path)
})

test('nothing of it can be changed, and it opens nothing else', async () => {
  const [file, signature] = parts(links.path(ID, '', FILE))
  const other = Buffer.from(JSON.stringify(['s3://bucket/secret', 'image/png', 7, 'ab', 'x', 'default'])).toString(
    'base64url',
  )
  const flipped = `${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`
  for (const [id, part, payload, mac] of [
    [artifactId('job_01ARZ3NDEKTSV4RRFFQ69G5FAV', 1, 1), '', file, signature],
    [ID, '/thumbnail', file, signature],
    [ID, '', other, signature],
    [ID, '', `${file}A`, signature],
    [ID, '', file, flipped],
    [ID, '', file, ''],
    [ID, '', file, `${signature}A`],
    [ID, '', '', signature],
  ] as const)
    expect(await links.read(id, part, payload, mac)).toBeNull()
  expect(await createLastingLinks(oneKey(randomBytes(32))).read(ID, '', file, signature)).toBeNull()
})

test('a signature of an hourly link is none of these, with the same key too', async () => {
  const [file, signature] = parts(links.path(ID, '', FILE))
  const hourly = new URL(createArtifactLinks(key).path(ID), 'http://x').searchParams
  expect(await links.read(ID, '', file, hourly.get('signature') ?? '')).toBeNull()
  expect(createArtifactLinks(key).valid(ID, hourly.get('expires') ?? '', signature)).toBe(false)
})

test('what none of the known keys made is judged after another look for newer ones', async () => {
  const [old, next] = [randomBytes(32), randomBytes(32)]
  let known = old
  const keys: SigningKeys = {
    maker: () => known,
    accepted: () => [known],
    refresh: async () => void (known = next),
  }
  const made = createLastingLinks(oneKey(next)).path(ID, '', FILE)
  const reader = createLastingLinks(keys)
  expect(await reader.read(ID, '', ...parts(made))).toEqual(FILE)
  expect(await reader.read(ID, '', ...parts(createLastingLinks(oneKey(old)).path(ID, '', FILE)))).toBeNull()
})
