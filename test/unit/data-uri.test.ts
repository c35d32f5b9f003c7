import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { dataUriLength, isDataUri, readDataUri, toDataUri } from '../../src/shared/inputs/rules/data-uri.ts'
import { isAllowedType, mediaTypeOf } from '../../src/shared/inputs/media-type.ts'
import { filesOf, mapInput, referenceOf, sameButFiles, uploadPath } from '../../src/shared/inputs/rules/reference.ts'
import { damagedPhoto, tone } from '../simulator/support/media.ts'
import { expectLinear } from '../support/growth.ts'

const MAX = 1_000_000
const read = (text: string) => readDataUri(text, MAX)
const bytesOf = (text: string): string | null => {
  const found = read(text)
  return found.kind === 'file' ? found.bytes.toString('latin1') : null
}

describe('a data URI', () => {
  test.each([
    ['data:text/plain;base64,aGVsbG8=', 'text/plain', 'hello'],
    ['DATA:Image/PNG;BASE64,aGVsbG8=', 'image/png', 'hello'],
    ['data:text/plain;charset=utf-8;base64,aGVsbG8h', 'text/plain', 'hello!'],
    ['data:;base64,aGVsbG8=', null, 'hello'],
    ['data:text/plain,a%20b%C3%A9', 'text/plain', 'a b\u00c3\u00a9'],
    ['data:text/plain;base64,', 'text/plain', ''],
  ])('%s is a file', (text, mediaType, bytes) => {
    expect(isDataUri(text)).toBe(true)
    expect(read(text)).toMatchObject({ kind: 'file', mediaType })
    expect(bytesOf(text)).toBe(bytes)
  })

  test.each([
    'data:,hello',
    'data: the figures of this year, and of the last',
    'data:image/png',
    ' data:image/png;base64,aGVsbG8=',
    'https://example.com/a.png',
    'data:image/png;a b;base64,aGVsbG8=',
    '',
  ])('%j is text', (text) => {
    expect(isDataUri(text)).toBe(false)
  })

  test.each([
    'data:image/png;base64,aGVsbG8',
    'data:image/png;base64,aGVs\nbG8=',
    'data:image/png;base64,aGVs bG8=',
    'data:image/png;base64,aGVsbG8==',
    'data:image/png;base64,aGV=bG8=',
    'data:image/png;base64,a===',
    'data:image/png;base64,aGVs-_8=',
    'data:image/png;base64,%61%47',
    'data:text/plain,100%',
    'data:text/plain,100%zz',
  ])('%j is wrong', (text) => {
    expect(isDataUri(text)).toBe(true)
    expect(read(text).kind).toBe('wrong')
  })

  test('of any bytes comes back as it was, and is as long as foretold', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), (bytes) => {
        const text = toDataUri('image/png', Buffer.from(bytes))
        expect(text).toHaveLength(dataUriLength('image/png', bytes.length))
        expect(bytesOf(text)).toBe(Buffer.from(bytes).toString('latin1'))
      }),
    )
  })

  test('of one byte too many is refused before it is decoded', () => {
    const of = (bytes: number) => readDataUri(toDataUri('image/png', Buffer.alloc(bytes)), 100).kind
    expect([of(99), of(100), of(101), of(103)]).toEqual(['file', 'file', 'too_large', 'too_large'])
    expect(readDataUri(`data:text/plain,${'%00'.repeat(101)}`, 100).kind).toBe('too_large')
  })

  test.each([
    ['is read', (long: string) => long, 'file'],
    ['is refused for its last character', (long: string) => `${long.slice(0, -1)}*`, 'wrong'],
    ['is refused for its padding', (long: string) => `${long.slice(0, -4)}====`, 'wrong'],
  ])('of 8 MB %s, in a time that grows with its length', async (_how, damaged, kind) => {
    await expectLinear('reading a data URI', 500_000, (size) => {
      const text = damaged(toDataUri('image/png', Buffer.alloc(size, 'x')))
      return () => expect(readDataUri(text, 40_000_000).kind).toBe(kind)
    })
  })
})

describe('the type of a file', () => {
  test('comes from its bytes, not from its declaration', async () => {
    expect(await mediaTypeOf(await damagedPhoto(), 'text/html')).toBe('image/png')
    expect(await mediaTypeOf(tone(0.1), null)).toBe('audio/wav')
  })

  test('is the declared one only where its bytes do not show it', async () => {
    const text = Buffer.from('some words')
    expect(await mediaTypeOf(text, 'Text/Plain; charset=utf-8')).toBe('text/plain')
    expect(await mediaTypeOf(text, 'image/png')).toBe('application/octet-stream')
    expect(await mediaTypeOf(text, null)).toBe('application/octet-stream')
  })

  test('is allowed by its name, its kind or with all', () => {
    expect(isAllowedType('image/png', ['image/*'])).toBe(true)
    expect(isAllowedType('text/html', ['image/*', 'text/plain'])).toBe(false)
    expect(isAllowedType('text/plain', ['image/*', 'text/plain'])).toBe(true)
    expect(isAllowedType('a/b', ['*/*'])).toBe(true)
  })
})

const ID = 'upl_01ARZ3NDEKTSV4RRFFQ69G5FAV'

describe('a file of an input', () => {
  test('is named by its path, and by nothing else', () => {
    expect(referenceOf(uploadPath(ID))).toBe(ID)
    for (const text of [ID, `x${uploadPath(ID)}`, `${uploadPath(ID)}?a=1`, `https://a.example${uploadPath(ID)}`])
      expect(referenceOf(text)).toBeNull()
  })

  test('is found wherever it stands', () => {
    const input = { a: uploadPath(ID), b: [{ 'c/d': uploadPath(ID) }], e: `see ${uploadPath(ID)}`, f: null }
    expect(filesOf(input)).toEqual(new Map([[ID, ['/a', '/b/0/c~1d']]]))
    expect(mapInput(input, (text) => text.toUpperCase())).toMatchObject({ a: uploadPath(ID).toUpperCase(), f: null })
  })

  test('may have another name at Replicate, everything else may not', () => {
    const ours = { prompt: 'p', image: uploadPath(ID), list: [1, uploadPath(ID)] }
    expect(sameButFiles(ours, { list: [1, 'data:b'], image: 'https://a.example', prompt: 'p' })).toBe(true)
    for (const theirs of [
      { ...ours, prompt: 'q' },
      { ...ours, image: 1 },
      { ...ours, more: null },
      { ...ours, list: [1] },
      { prompt: 'p', image: 'x' },
      [],
    ])
      expect(sameButFiles(ours, theirs)).toBe(false)
  })
})
