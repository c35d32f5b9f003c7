import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { isLater, notesOf, released, RELEASE_FILES } from '../../tools/packaging/release-files.ts'

const ROOT = join(import.meta.dirname, '../..')
const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8')

test.each([
  ['0.2.0', '0.1.0', true],
  ['0.1.1', '0.1.0', true],
  ['1.0.0', '0.9.12', true],
  ['0.10.0', '0.9.0', true],
  ['0.1.0', '0.1.0', false],
  ['0.1.0', '0.2.0', false],
  ['1.0.0', '1.0.1', false],
  ['v0.2.0', '0.1.0', false],
  ['0.2', '0.1.0', false],
])('%s after %s: %s', (next, present, expected) => {
  expect(isLater(next, present)).toBe(expected)
})

describe('a release of the project as it is', () => {
  const after = Object.fromEntries(
    RELEASE_FILES.map((file) => [file, released(file, read(file), '98.7.6', '2026-12-01')]),
  )

  test('changes the version in each file, and nothing else', () => {
    for (const file of RELEASE_FILES.filter((one) => one !== 'CHANGELOG.md')) {
      const before = read(file).split('\n')
      const changed = (after[file] ?? '').split('\n').filter((line, i) => line !== before[i])
      expect(changed.length, file).toBe(file === 'package-lock.json' ? 2 : 1)
      for (const line of changed) expect(line).toMatch(/^\s+"?version"?: "?98\.7\.6"?,?$/)
    }
    expect(JSON.parse(after['package-lock.json'] ?? '')).toMatchObject({
      version: '98.7.6',
      packages: { '': { version: '98.7.6' } },
    })
  })

  test('moves what is unreleased below the version', () => {
    const changelog = after['CHANGELOG.md'] ?? ''
    expect(notesOf(changelog)).toBe('')
    expect(notesOf(changelog, '98.7.6')).toBe(notesOf(read('CHANGELOG.md')))
    expect(changelog).toContain('\n## Unreleased\n\n## 98.7.6 - 2026-12-01\n\n')
  })

  test('is refused when nothing is unreleased, or a file has no version', () => {
    expect(() => released('CHANGELOG.md', after['CHANGELOG.md'] ?? '', '98.7.7', '2026-12-02')).toThrow(
      'nothing under "Unreleased"',
    )
    expect(() => released('docs/openapi.yaml', 'openapi: 3.1.0', '98.7.7', '2026-12-02')).toThrow('docs/openapi.yaml')
  })
})
