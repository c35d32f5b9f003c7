import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { RELEASE_FILES } from '../../tools/packaging/release-files.ts'
import { spawnNode } from '../support/spawn-process.ts'
import { tempDir } from '../support/temp-dir.ts'

const ROOT = join(import.meta.dirname, '../..')

/** A repository with the files that a release changes. */
function repository() {
  const folder = tempDir()
  for (const file of RELEASE_FILES) {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    cpSync(join(ROOT, file), join(folder, file))
  }
  const git = (...args: string[]): string =>
    execFileSync('git', ['-c', 'user.name=test', '-c', 'user.email=test@localhost', ...args], {
      cwd: folder,
      encoding: 'utf8',
    }).trim()
  git('init', '--quiet')
  git('config', 'user.name', 'test')
  git('config', 'user.email', 'test@localhost')
  git('add', '--all')
  git('commit', '--quiet', '--message', 'first')
  const release = async (...args: string[]) => {
    const ran = spawnNode(join(ROOT, 'tools/release.ts'), [...args, '--folder', folder], { cwd: folder })
    const { code } = await ran.exited
    return { code, said: ran.stdout + ran.stderr }
  }
  return { folder, git, release }
}

test('a release is only described, until --write commits and tags it; --publish needs CI and a repository', async () => {
  const { folder, git, release } = repository()
  expect(await release('98.7.6')).toMatchObject({ code: 0, said: expect.stringContaining('Nothing was changed.') })
  expect(git('status', '--porcelain')).toBe('')
  expect(git('log', '--format=%s')).toBe('first')

  expect(await release('0.0.1', '--write')).toMatchObject({
    code: 1,
    said: expect.stringContaining('no version after'),
  })
  expect(await release('98.7.6', '--write')).toMatchObject({ code: 0, said: expect.stringContaining('tagged v98.7.6') })
  expect(git('status', '--porcelain')).toBe('')
  expect(git('tag', '--points-at', 'HEAD')).toBe('v98.7.6')
  expect(JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))).toMatchObject({ version: '98.7.6' })

  expect(await release('--publish')).toMatchObject({ code: 1, said: expect.stringContaining('run --publish there') })
  git('tag', '--delete', 'v98.7.6')
  expect(await release('--publish')).toMatchObject({ code: 1, said: expect.stringContaining('the tag v98.7.6') })
})
