import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { artifactId, createArtifactLinks, parseArtifactId } from '../../src/shared/artifacts/rules/artifact-links.ts'
import { oneKey } from '../../src/shared/values/signing-keys.ts'

const NOW = Date.parse('2026-11-22T12:03:00Z')
const JOB = 'job_01ARZ3NDEKTSV4RRFFQ69G5FAV'
const ID = artifactId(JOB, 2, 13)
const links = createArtifactLinks(oneKey(randomBytes(32)))

const parts = (path: string) => {
  const url = new URL(path, 'http://x')
  return { expires: url.searchParams.get('expires') ?? '', signature: url.searchParams.get('signature') ?? '' }
}

describe('a link', () => {
  const { expires, signature } = parts(links.path(ID, '', NOW))

  test('is a path that is valid for at least an hour, and stays the same for a while', () => {
    expect(links.path(ID, '', NOW)).toMatch(new RegExp(`^/v1/artifacts/${ID}\\?expires=\\d+&signature=[\\w-]{22}$`))
    expect(links.path(ID, '', NOW + 60_000)).toBe(links.path(ID, '', NOW))
    for (let minute = 0; minute < 30; minute++) {
      const now = NOW + minute * 60_000
      const left = Number(parts(links.path(ID, '', now)).expires) * 1000 - now
      expect(left).toBeGreaterThanOrEqual(3_600_000)
      expect(left).toBeLessThanOrEqual(4_500_000)
    }
  })

  test('holds until it expires', () => {
    expect(links.valid(ID, expires, signature, NOW)).toBe(true)
    expect(links.valid(ID, expires, signature, Number(expires) * 1000 - 1)).toBe(true)
    expect(links.valid(ID, expires, signature, Number(expires) * 1000)).toBe(false)
  })

  test('holds for nothing else', () => {
    expect(links.valid(artifactId(JOB, 2, 14), expires, signature, NOW)).toBe(false)
    expect(links.valid(ID, String(Number(expires) + 3600), signature, NOW)).toBe(false)
    expect(links.valid(ID, `${expires}0`, signature, NOW)).toBe(false)
    expect(createArtifactLinks(oneKey(randomBytes(32))).valid(ID, expires, signature, NOW)).toBe(false)
    for (const forged of ['', 'x', signature.slice(1), `${signature}x`, 'ü'.repeat(11), 'x'.repeat(22)])
      expect(links.valid(ID, expires, forged, NOW)).toBe(false)
  })
})

describe('the id of an artifact', () => {
  test('contains its job, attempt and index', () => {
    expect(parseArtifactId(ID)).toEqual({ job: JOB, attempt: 2, index: 13 })
  })

  test.each([
    '',
    'art_',
    JOB,
    `${ID}_1`,
    ID.toLowerCase(),
    ID.replace('01', '../'),
    `${ID}\n`,
    'art_01ARZ3NDEKTSV4RRFFQ69G5FAV_-1_0',
  ])('is not %j', (id) => {
    expect(parseArtifactId(id)).toBeNull()
  })
})
