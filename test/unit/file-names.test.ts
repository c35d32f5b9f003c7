import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { artifactId } from '../../src/shared/artifacts/rules/artifact-links.ts'
import { fileNameOf } from '../../src/shared/artifacts/rules/file-names.ts'
import type { ArtifactRecord } from '../../src/shared/jobs/rules/job.ts'

/** The name of an output among the downloads of a person. */

const ULID = '01ARZ3NDEKTSV4RRFFQ69G5FAV'
const VERSION = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
const TYPES = fc.stringMatching(/^[a-z]+\/[a-z0-9.+-]{1,40}(; charset=utf-8)?$/)
const NOTHING = { preset: null, model: null, deployment: null, version: null }

const artifact = (index: number, media_type: string): ArtifactRecord => ({
  id: artifactId(`job_${ULID}`, 1, index),
  key: 'disk:any',
  media_type,
  bytes: 1,
  sha256: '',
  width: null,
  height: null,
  duration: null,
  thumbnail: null,
})

function nameOf(target: Partial<typeof NOTHING | Record<keyof typeof NOTHING, string>>, index = 0, count = 1): string {
  const artifacts = Array.from({ length: count }, (_, at) => artifact(at, 'image/png'))
  const job = { id: `job_${ULID}`, ...NOTHING, ...target, artifacts }
  return fileNameOf(job, artifact(index, 'image/png'))
}

describe('the name of a file', () => {
  test.each([
    ['a preset', { preset: 'text-to-image', model: 'owner/name' }, `text-to-image-${ULID}.png`],
    ['a model', { model: 'black-forest-labs/flux-schnell' }, `flux-schnell-${ULID}.png`],
    ['a deployment', { deployment: 'acme/fast_one' }, `fast_one-${ULID}.png`],
    ['a version by its name', { version: `replicate/hello-world:${VERSION}` }, `hello-world-${ULID}.png`],
    ['a version alone', { version: VERSION }, `${VERSION.slice(0, 60)}-${ULID}.png`],
    ['nothing that could be a name', { model: 'owner/...' }, `output-${ULID}.png`],
  ])('says what made it: %s', (_what, target, name) => expect(nameOf(target)).toBe(name))

  test('has the number of the output where there are several, and sorts', () => {
    const preset = { preset: 'set' }
    expect([0, 1].map((index) => nameOf(preset, index, 2))).toEqual([`set-${ULID}-1.png`, `set-${ULID}-2.png`])
    const names = Array.from({ length: 12 }, (_, index) => nameOf(preset, index, 12))
    expect(names[0]).toBe(`set-${ULID}-01.png`)
    expect(names.toSorted()).toEqual(names)
  })

  test('is safe in a header, in a shell and on a disk, for any record', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), TYPES, (text, type) => {
        const job = { id: `job_${ULID}`, ...NOTHING, model: text, artifacts: [] }
        const name = fileNameOf(job, artifact(0, type))
        expect(name).toMatch(/^[A-Za-z0-9_][A-Za-z0-9._-]*$/)
        expect(name.length).toBeLessThan(200)
      }),
      { seed: 16, numRuns: 300 },
    )
  })
})
