import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  BUCKET_PATTERN,
  createArtifactNames,
  DISK_PATTERN,
  patternProblem,
} from '../../src/shared/artifacts/artifact-names.ts'
import { safeKey } from '../../src/shared/artifacts/artifact-store.ts'
import { extensionOf } from '../../src/shared/artifacts/media-types.ts'
import { examples } from '../support/property-seed.ts'

const ALONE = { id: 'job_01ARZ3NDEKTSV4RRFFQ69G5FAV', tenant: 'acme', batch: null, position: null, preset: null }
const MEMBER = { ...ALONE, batch: 'bat_01ARZ3NDEKTSV4RRFFQ69G5FAW', position: 17, preset: 'training-image' }

describe('a pattern', () => {
  test.each<[pattern: string, member: string, second: string, alone: string]>([
    [
      'training-images/{batch}/{index}.{ext}',
      `training-images/${MEMBER.batch}/17.jpg`,
      `training-images/${MEMBER.batch}/17-1.jpg`,
      `training-images/${ALONE.id}/0.jpg`,
    ],
    [
      'sets/{batch}/{position}-{index}.{ext}',
      `sets/${MEMBER.batch}/17-0.jpg`,
      `sets/${MEMBER.batch}/17-1.jpg`,
      `sets/${ALONE.id}/0-0.jpg`,
    ],
    [
      '{preset}/{job}_{index}.{ext}',
      `training-image/${ALONE.id}_0.jpg`,
      `training-image/${ALONE.id}_1.jpg`,
      `none/${ALONE.id}_0.jpg`,
    ],
    ['all/{index}.{ext}', `all/0-${ALONE.id}.jpg`, `all/1-${ALONE.id}.jpg`, `all/0-${ALONE.id}.jpg`],
    [
      'sets/{batch}/picture.{ext}',
      `sets/${MEMBER.batch}/picture-17-0.jpg`,
      `sets/${MEMBER.batch}/picture-17-1.jpg`,
      `sets/${ALONE.id}/picture-0-0.jpg`,
    ],
    ['flat', `flat-${ALONE.id}-0`, `flat-${ALONE.id}-1`, `flat-${ALONE.id}-0`],
    [BUCKET_PATTERN, `acme/${ALONE.id}/2/0.jpg`, `acme/${ALONE.id}/2/1.jpg`, `acme/${ALONE.id}/2/0.jpg`],
    [DISK_PATTERN, `acme/${ALONE.id}/2/0`, `acme/${ALONE.id}/2/1`, `acme/${ALONE.id}/2/0`],
  ])('%s gives names that tell files apart', (pattern, member, second, alone) => {
    const names = createArtifactNames(pattern)
    expect(names.keyOf(MEMBER, 2, 0, 'image/jpeg')).toBe(member)
    expect(names.keyOf(MEMBER, 2, 1, 'image/jpeg')).toBe(second)
    expect(names.keyOf(ALONE, 2, 0, 'image/jpeg')).toBe(alone)
  })

  test.each([
    ['{batch}/{character}.{ext}', '{character} is none of'],
    ['{job}{index}', 'between two placeholders'],
    ['{position}0{index}', 'between two placeholders'],
    ['/{job}', '"" is no name'],
    ['a//{job}', '"" is no name'],
    ['../{job}', '".." is no name'],
    ['.hidden/{job}', '".hidden" is no name'],
    ['{job}/', '"" is no name'],
    ['a b/{job}', '"a b" is no name'],
    ['a\\{job}', 'is no name'],
    ['{job}/{', 'is no name'],
    ['{job}/thumbnails/{index}', 'a name of our own'],
    ['{ext}/{job}', '{ext} stands in the last part'],
    ['{job}.{ext}.{ext}', '{ext} stands once'],
    [`${'a'.repeat(500)}/{job}`, 'more than 400'],
  ])('%s is refused', (pattern, words) => {
    expect(patternProblem(pattern)).toContain(words)
    expect(() => createArtifactNames(pattern)).toThrow(words)
  })

  test('whatever it is, two different files never have one name, and each name is safe', () => {
    const pieces = fc.constantFrom(
      '{tenant}',
      '{job}',
      '{batch}',
      '{position}',
      '{attempt}',
      '{index}',
      '{preset}',
      'x',
      '-',
      '_',
      '/',
      '7',
    )
    const patterns = fc
      .tuple(fc.array(pieces, { minLength: 1, maxLength: 9 }), fc.constantFrom('', '.{ext}', '.png'))
      .map(([parts, ext]) => parts.join('') + ext)
      .filter((pattern) => patternProblem(pattern) === null)
    const presets = fc.constantFrom(null, 'a', 'a-1', '1', '0-1')
    // Few values, so that names have every chance to meet. A job has one preset and one place.
    const jobs = fc
      .uniqueArray(fc.tuple(fc.nat(3), fc.nat(12), presets, fc.boolean()), {
        selector: ([batch, position]) => `${batch} ${position}`,
        maxLength: 8,
      })
      .map((rows) =>
        rows.map(([batch, position, preset, alone], i) => ({
          id: `job_01ARZ3NDEKTSV4RRFFQ69G5F${String(i).padStart(2, '0')}`,
          tenant: 't',
          batch: alone ? null : `bat_01ARZ3NDEKTSV4RRFFQ69G5F0${batch}`,
          position: alone ? null : position,
          preset,
        })),
      )
    fc.assert(
      fc.property(patterns, jobs, (pattern, all) => {
        const names = createArtifactNames(pattern)
        const keys = all.flatMap((job) =>
          [0, 1, 10, 11]
            .flatMap((index) => names.keyOf(job, 1, index, 'image/png'))
            .concat(names.thumbnailOf(job, 1, 0)),
        )
        expect(new Set(keys).size, pattern).toBe(keys.length)
        for (const key of keys) expect(safeKey(key)).toBe(key)
      }),
      { numRuns: examples(2000) },
    )
  })
})

test('what belongs to a job is below its own folders only', () => {
  const folders = (pattern: string): string[] => createArtifactNames(pattern).foldersOf(MEMBER)
  const own = `acme/${ALONE.id}`
  expect(folders(DISK_PATTERN)).toEqual([own])
  expect(folders('sets/{preset}/{job}/{index}.{ext}')).toEqual([own, `sets/training-image/${ALONE.id}`])
  // Others are in these folders too, or which one it is depends on the file: the records name what is there.
  expect(folders('sets/{batch}/{index}.{ext}')).toEqual([own])
  expect(folders('sets/x-{job}/{index}.{ext}')).toEqual([own])
  expect(folders('{attempt}/{job}/{index}')).toEqual([own])
  expect(createArtifactNames(DISK_PATTERN).thumbnailOf(MEMBER, 2, 3)).toBe(`${own}/thumbnails/2-3.webp`)
})

test('extensions are of letters and digits', () => {
  expect(['image/jpeg', 'image/webp', 'video/mp4', 'text/plain; charset=utf-8'].map(extensionOf)).toEqual([
    'jpg',
    'webp',
    'mp4',
    'txt',
  ])
  expect(['', 'x', 'a/', 'application/octet-stream', 'a/../..'].map(extensionOf)).toEqual([
    'bin',
    'bin',
    'bin',
    'bin',
    'bin',
  ])
  expect(extensionOf('application/vnd.x+zip; a=b')).toBe('vndxzip')
})
