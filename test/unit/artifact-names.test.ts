import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  BUCKET_PATTERN,
  createArtifactNames,
  DISK_PATTERN,
  patternProblem,
  withJob,
} from '../../src/shared/artifacts/rules/artifact-names.ts'
import { safeKey } from '../../src/shared/artifacts/artifact-store.ts'
import { extensionOf } from '../../src/shared/artifacts/rules/media-types.ts'
import { examples } from '../support/property-seed.ts'

const ALONE = {
  id: 'job_01ARZ3NDEKTSV4RRFFQ69G5FAV',
  tenant: 'acme',
  batch: null,
  position: null,
  preset: null,
  metadata: { character: 'Zoë Fuchs/../x', n: 7, deep: { no: 'name' }, empty: '///', long: 'a'.repeat(500) },
  key_pattern: null,
  named_as: null,
}
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
    [
      'sets/{batch}/{metadata.character}_training_{index:02}.{ext}',
      `sets/${MEMBER.batch}/Zoe-Fuchs-x_training_17.jpg`,
      `sets/${MEMBER.batch}/Zoe-Fuchs-x_training_17-1.jpg`,
      `sets/${ALONE.id}/Zoe-Fuchs-x_training_00.jpg`,
    ],
    [
      '{batch}/{position:04}/{metadata.n}.{metadata.deep}_{metadata.toString}_{metadata.empty}.{ext}',
      `${MEMBER.batch}/0017/7.none_none_none-0.jpg`,
      `${MEMBER.batch}/0017/7.none_none_none-1.jpg`,
      `${ALONE.id}/0000/7.none_none_none-0.jpg`,
    ],
    [
      '{job}/{metadata.long}',
      `${ALONE.id}/${'a'.repeat(64)}-0`,
      `${ALONE.id}/${'a'.repeat(64)}-1`,
      `${ALONE.id}/${'a'.repeat(64)}-0`,
    ],
    [BUCKET_PATTERN, `acme/${ALONE.id}/2/0.jpg`, `acme/${ALONE.id}/2/1.jpg`, `acme/${ALONE.id}/2/0.jpg`],
    [DISK_PATTERN, `acme/${ALONE.id}/2/0`, `acme/${ALONE.id}/2/1`, `acme/${ALONE.id}/2/0`],
  ])('%s gives names that distinguish files', (pattern, member, second, alone) => {
    const names = createArtifactNames(pattern)
    expect(names.keyOf(MEMBER, 2, 0, 'image/jpeg')).toBe(member)
    expect(names.keyOf(MEMBER, 2, 1, 'image/jpeg')).toBe(second)
    expect(names.keyOf(ALONE, 2, 0, 'image/jpeg')).toBe(alone)
  })

  test.each([
    ['{batch}/{character}.{ext}', '{character} is not a placeholder'],
    ['{job}{index}', 'two placeholders need one of'],
    ['{batch}/{metadata.a}-{index}', '{metadata.<field>} and another placeholder need'],
    ['{batch}/{index}-x-{metadata.a}', '{metadata.<field>} and another placeholder need'],
    ['{metadata.a.b}/{job}', '{metadata.a.b} is not a placeholder'],
    ['{metadata.}/{job}', '{metadata.} is not a placeholder'],
    ['{job:02}', '{job:02} is not a placeholder'],
    ['{index:2}', '{index:2} is not a placeholder'],
    [`{job}/${'{metadata.a}_'.repeat(5)}{metadata.a}`, 'more than 5 metadata fields'],
    ['{position}0{index}', 'two placeholders need one of'],
    ['/{job}', '"" is not a valid name'],
    ['a//{job}', '"" is not a valid name'],
    ['../{job}', '".." is not a valid name'],
    ['.hidden/{job}', '".hidden" is not a valid name'],
    ['{job}/', '"" is not a valid name'],
    ['a b/{job}', '"a b" is not a valid name'],
    ['a\\{job}', 'is not a valid name'],
    ['{job}/{', 'is not a valid name'],
    ['{job}/thumbnails/{index}', 'a reserved name'],
    ['{ext}/{job}', '{ext} is allowed only in the last part'],
    ['{job}.{ext}.{ext}', '{ext} is allowed once'],
    [`${'a'.repeat(500)}/{job}`, 'more than 400'],
  ])('%s is refused', (pattern, words) => {
    expect(patternProblem(pattern)).toContain(words)
    expect(() => createArtifactNames(pattern)).toThrow(words)
  })

  test('never gives two files the same name, and each name is safe', () => {
    const pieces = fc.constantFrom(
      '{tenant}',
      '{job}',
      '{batch}',
      '{position}',
      '{attempt}',
      '{index}',
      '{preset}',
      '{index:02}',
      '{position:02}',
      '{metadata.a}',
      '{metadata.b}',
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
    const value = fc.constantFrom('x', 'x-1', '1', '1-2', 'a_b', '../x', '', 0, 12)
    const metadata = fc.record({ a: value, b: value })
    // Few values, so that names have every chance to meet. A job has one preset and one place.
    const jobs = fc
      .uniqueArray(fc.tuple(fc.nat(3), fc.nat(12), presets, fc.boolean(), metadata), {
        selector: ([batch, position]) => `${batch} ${position}`,
        maxLength: 8,
      })
      .map((rows) =>
        rows.map(([batch, position, preset, alone, metadata], i) => ({
          id: `job_01ARZ3NDEKTSV4RRFFQ69G5F${String(i).padStart(2, '0')}`,
          tenant: 't',
          batch: alone ? null : `bat_01ARZ3NDEKTSV4RRFFQ69G5F0${batch}`,
          position: alone ? null : position,
          preset,
          metadata,
          key_pattern: null,
          named_as: null,
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

describe('the pattern of a preset', () => {
  const PATTERN = 'sets/{batch}/{metadata.character}_{index:02}.{ext}'
  test('counts in a bucket, for the jobs of that preset', () => {
    const names = createArtifactNames(BUCKET_PATTERN, { byPreset: true })
    const job = { ...MEMBER, key_pattern: PATTERN }
    expect(names.keyOf(job, 1, 0, 'image/jpeg')).toBe(`sets/${MEMBER.batch}/Zoe-Fuchs-x_17.jpg`)
    expect(names.keyOf(MEMBER, 1, 0, 'image/jpeg')).toBe(`acme/${MEMBER.id}/1/0.jpg`)
    expect(createArtifactNames(DISK_PATTERN).keyOf(job, 1, 0, 'image/jpeg')).toBe(`acme/${MEMBER.id}/1/0`)
  })

  test('gives a retry the names of the place that it takes', () => {
    const names = createArtifactNames(PATTERN)
    const retry = {
      ...MEMBER,
      id: 'job_01ARZ3NDEKTSV4RRFFQ69G5FAX',
      batch: 'bat_01ARZ3NDEKTSV4RRFFQ69G5FAZ',
      position: 0,
    }
    expect(names.keyOf({ ...retry, named_as: { batch: MEMBER.batch, position: 17 } }, 1, 1, 'image/png')).toBe(
      `sets/${MEMBER.batch}/Zoe-Fuchs-x_17-1.png`,
    )
    expect(names.keyOf(retry, 1, 0, 'image/png')).toBe(`sets/${retry.batch}/Zoe-Fuchs-x_00.png`)
  })

  test('distinguishes jobs of one batch with different patterns by their ids, and keeps their position', () => {
    const key = (pattern: string): string => createArtifactNames(withJob(pattern)).keyOf(MEMBER, 1, 0, 'image/png')
    expect(key(PATTERN)).toBe(`sets/${MEMBER.batch}/Zoe-Fuchs-x_17-0-${MEMBER.id}.png`)
    expect(key('{batch}/{index}-{position}')).toBe(`${MEMBER.batch}/0-17-${MEMBER.id}`)
    expect(key('{job}/{index}')).toBe(`${MEMBER.id}/0`)
    expect(key('{batch}.{ext}')).toBe(`${MEMBER.batch}-${MEMBER.id}-0.png`)
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
