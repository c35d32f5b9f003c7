import { createHash, randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync, mkdirSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { ArtifactRefusedError } from '../../src/shared/artifacts/artifact-store.ts'
import { createDiskArtifactStore } from '../../src/shared/artifacts/disk-artifact-store.ts'
import { spawnProcess } from '../support/spawn-process.ts'
import { tempDir } from '../support/temp-dir.ts'

const MB = 1024 * 1024
const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
)
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

async function* chunks(...parts: Buffer[]): AsyncGenerator<Buffer> {
  yield* parts
}

function scene() {
  const root = tempDir()
  const files = (): string[] =>
    readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
      .sort()
  return { root, files, store: createDiskArtifactStore(root) }
}

describe('a file', () => {
  test('is stored whole, with its size, digest and type by its first bytes', async () => {
    const { store, files, root } = scene()
    const bytes = Buffer.concat([PNG, randomBytes(3 * MB)])
    const stored = await store.put(
      't/job/1/0',
      chunks(bytes.subarray(0, 5), bytes.subarray(5, MB), bytes.subarray(MB)),
      {
        maxBytes: 10 * MB,
        mediaType: 'text/html',
        expectedBytes: bytes.length,
      },
    )
    expect(stored).toEqual({ key: 't/job/1/0', bytes: bytes.length, sha256: sha256(bytes), media_type: 'image/png' })
    expect(files()).toEqual(['t/job/1/0'])
    expect(sha256(readFileSync(join(root, 't/job/1/0')))).toBe(stored.sha256)
  })

  test('whose bytes show no type has the declared one, or none', async () => {
    const { store } = scene()
    const put = (mediaType?: string) =>
      store.put('a', chunks(Buffer.from('hello')), { maxBytes: MB, ...(mediaType ? { mediaType } : {}) })
    expect((await put('text/plain; charset=utf-8')).media_type).toBe('text/plain; charset=utf-8')
    expect((await put()).media_type).toBe('application/octet-stream')
  })

  test('may be empty', async () => {
    const { store } = scene()
    expect(await store.put('a', chunks(), { maxBytes: MB })).toMatchObject({
      bytes: 0,
      sha256: sha256(Buffer.alloc(0)),
    })
  })

  test('may be called by the type that it turns out to have', async () => {
    const { store, files } = scene()
    const named = await store.put((type) => `t/a.${type.split('/')[1]}`, chunks(PNG), { maxBytes: MB })
    expect(named).toMatchObject({ key: 't/a.png', media_type: 'image/png' })
    await expect(store.put(() => '../a', chunks(PNG), { maxBytes: MB })).rejects.toThrow('not an artifact key')
    expect(files()).toEqual(['t/a.png'])
  })

  test('is examined when it is complete and not yet visible', async () => {
    const { store, files } = scene()
    const seen: unknown[] = []
    const examine = async (path: string, type: string): Promise<void> => {
      seen.push(readFileSync(path, 'utf8'), type, files().includes('t/a'))
    }
    await store.put('t/a', chunks(Buffer.from('one '), Buffer.from('two')), { maxBytes: MB, examine })
    expect(seen).toEqual(['one two', 'application/octet-stream', false])
  })

  test('is removed by its key, and may be gone before', async () => {
    const { store, files } = scene()
    for (const key of ['t/a', 't/b']) await store.put(key, chunks(PNG), { maxBytes: MB })
    await store.remove(['t/a', 't/a', 't/none'])
    expect(files()).toEqual(['t/b'])
  })

  test('written again replaces the one before, whole', async () => {
    const { store, files, root } = scene()
    await store.put('t/a', chunks(Buffer.from('a longer first')), { maxBytes: MB })
    await store.put('t/a', chunks(Buffer.from('second')), { maxBytes: MB })
    expect(files()).toEqual(['t/a'])
    expect(readFileSync(join(root, 't/a'), 'utf8')).toBe('second')
  })

  test('written many times at once is one of them', async () => {
    const { store, files, root } = scene()
    const bodies = Array.from({ length: 10 }, (_, i) => Buffer.alloc(100_000, String(i)))
    await Promise.all(
      bodies.map((body) => store.put('t/a', chunks(body.subarray(0, 10), body.subarray(10)), { maxBytes: MB })),
    )
    expect(files()).toEqual(['t/a'])
    const left = readFileSync(join(root, 't/a'))
    expect(bodies.some((body) => body.equals(left))).toBe(true)
  })

  test('is read whole, or in a range', async () => {
    const { store } = scene()
    await store.put('t/a', chunks(Buffer.from('0123456789')), { maxBytes: MB })
    const read = async (range?: { start: number; end: number }) => {
      const stream = await store.open('t/a', range)
      return stream && text(stream)
    }
    expect(await read()).toBe('0123456789')
    expect(await read({ start: 2, end: 4 })).toBe('234')
    expect(await store.open('t/none')).toBeNull()
  })
})

describe('nothing is visible, not even a part,', () => {
  const before = async () => {
    const at = scene()
    await at.store.put('t/kept', chunks(Buffer.from('kept')), { maxBytes: MB })
    return at
  }

  test('while the body comes', async () => {
    const { store, files } = await before()
    let seen: string[] = []
    async function* slow(): AsyncGenerator<Buffer> {
      yield Buffer.alloc(1000)
      seen = files().filter((name) => !name.endsWith('.part'))
      yield Buffer.alloc(1000)
    }
    await store.put('t/new', slow(), { maxBytes: MB })
    expect(seen).toEqual(['t/kept'])
  })

  test('of a body that breaks off', async () => {
    const { store, files, root } = await before()
    async function* broken(): AsyncGenerator<Buffer> {
      yield Buffer.alloc(1000)
      throw new Error('ECONNRESET')
    }
    for (const key of ['t/new', 't/kept'])
      await expect(store.put(key, broken(), { maxBytes: MB })).rejects.toThrow('ECONNRESET')
    expect(files()).toEqual(['t/kept'])
    expect(readFileSync(join(root, 't/kept'), 'utf8')).toBe('kept')
  })

  test('of a body without end, of which no more is taken than is allowed', async () => {
    const { store, files } = await before()
    let taken = 0
    async function* endless(): AsyncGenerator<Buffer> {
      for (;;) {
        taken += 1000
        yield Buffer.alloc(1000)
      }
    }
    await expect(store.put('t/new', endless(), { maxBytes: 100_000 })).rejects.toBeInstanceOf(ArtifactRefusedError)
    expect(taken).toBeLessThanOrEqual(101_000)
    expect(files()).toEqual(['t/kept'])
  })

  test('of a body that is announced as too large: it is closed unread', async () => {
    const { store, files } = await before()
    let state = 'open'
    const body: AsyncIterable<Buffer> = {
      [Symbol.asyncIterator]: () => ({
        next: async () => ((state = 'read'), { done: false, value: Buffer.alloc(10) }),
        return: async () => ((state = 'closed'), { done: true, value: undefined }),
      }),
    }
    const put = store.put('t/new', body, { maxBytes: 100, expectedBytes: 101 })
    await expect(put).rejects.toMatchObject({ name: 'ArtifactRefusedError', lasting: true })
    expect(state).toBe('closed')
    expect(files()).toEqual(['t/kept'])
  })

  test.each([3, 5])('of a body of 4 bytes when %i were announced', async (expectedBytes) => {
    const { store, files } = await before()
    const put = store.put('t/new', chunks(Buffer.from('four')), { maxBytes: MB, expectedBytes })
    await expect(put).rejects.toBeInstanceOf(ArtifactRefusedError)
    expect(files()).toEqual(['t/kept'])
  })

  test('F42 of a file that the disk takes half of, as when it becomes full', async () => {
    const { files, root } = await before()
    const store = join(import.meta.dirname, '../../src/shared/artifacts')
    const script = `
      import { isStorageTrouble } from ${JSON.stringify(join(store, 'artifact-store.ts'))}
      import { createDiskArtifactStore } from ${JSON.stringify(join(store, 'disk-artifact-store.ts'))}
      async function* body() { for (let left = 620_000; left > 0; left -= 100_000) yield Buffer.alloc(Math.min(left, 100_000)) }
      const store = createDiskArtifactStore(${JSON.stringify(root)})
      const print = (error) => console.log(error.code, isStorageTrouble(error))
      for (const key of ['t/new', 't/kept']) await store.put(key, body(), { maxBytes: 10_000_000 }).catch(print)`
    // The system takes a part of the last write, up to this limit (kB), and says so by its length only.
    const child = spawnProcess('bash', [
      '-c',
      'ulimit -f 600; exec "$0" --input-type=module --eval "$1"',
      process.execPath,
      script,
    ])
    await child.exited
    expect([child.stdout, child.stderr]).toEqual(['EFBIG true\nEFBIG true\n', ''])
    expect(files()).toEqual(['t/kept'])
    expect(readFileSync(join(root, 't/kept'), 'utf8')).toBe('kept')
  })

  test('when its place is taken by a folder', async () => {
    const { store, files, root } = await before()
    mkdirSync(join(root, 't/folder/x'), { recursive: true })
    await expect(store.put('t/folder', chunks(Buffer.from('x')), { maxBytes: MB })).rejects.toThrow()
    expect(files()).toEqual(['t/kept'])
  })
})

describe('a key', () => {
  test.each([
    '',
    '/',
    '..',
    '../a',
    'a/../../b',
    'a//b',
    '/etc/passwd',
    'a/./b',
    '.hidden',
    'a\0b',
    'a b',
    'ä',
    'a\\b',
  ])('%j is refused', async (key) => {
    const { store, files } = scene()
    await expect(store.put(key, chunks(Buffer.from('x')), { maxBytes: MB })).rejects.toThrow('not an artifact key')
    await expect(store.open(key)).rejects.toThrow('not an artifact key')
    await expect(store.removeAll(key)).rejects.toThrow('not an artifact key')
    expect(files()).toEqual([])
  })

  test('that is a symbolic link is not followed', async () => {
    const { store, root } = scene()
    const outside = join(tempDir(), 'secret')
    writeFileSync(outside, 'secret')
    symlinkSync(outside, join(root, 'link'))
    await expect(store.open('link')).rejects.toThrow()
    await store.put('link', chunks(Buffer.from('new')), { maxBytes: MB })
    expect(readFileSync(outside, 'utf8')).toBe('secret')
  })

  test('of a job removes what is below it, and nothing beside it', async () => {
    const { store, files, root } = scene()
    for (const key of ['t/job_1/1/0', 't/job_1/2/0', 't/job_12/1/0'])
      await store.put(key, chunks(Buffer.from('x')), { maxBytes: MB })
    await store.removeAll('t/job_1')
    await store.removeAll('t/job_none')
    expect(files()).toEqual(['t/job_12/1/0'])
    expect(existsSync(join(root, 't/job_1'))).toBe(false)
  })
})

test('what a copy left behind that was cut short goes when it is an hour old, and nothing else', async () => {
  const { root, files, store } = scene()
  await store.put('t/kept', chunks(PNG), { maxBytes: MB })
  const hourAgo = Date.now() / 1000 - 3600
  for (const [name, at] of [
    ['t/kept', hourAgo],
    ['.parts/old.part', hourAgo],
    ['.parts/young.part', hourAgo + 60],
  ] as const) {
    // As processes left them that were killed.
    if (name.startsWith('.parts')) writeFileSync(join(root, name), 'half')
    utimesSync(join(root, name), at, at)
  }
  // One that has looked a moment ago looks in an hour again; each looks before its first copy.
  await store.put('t/second', chunks(PNG), { maxBytes: MB })
  expect(files()).toContain('.parts/old.part')
  await createDiskArtifactStore(root).put('t/third', chunks(PNG), { maxBytes: MB })
  expect(files()).toEqual(['.parts/young.part', 't/kept', 't/second', 't/third'])
})
