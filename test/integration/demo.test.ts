import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { spawnNode, type SpawnedProcess } from '../support/spawn-process.ts'
import { tempDir } from '../support/temp-dir.ts'

/** `npm run demo`, as a process that finds nothing but itself. */

const DEMO = join(import.meta.dirname, '../../tools/demo.ts')

/** Whatever it leaves behind is found in `TMPDIR`. */
const demo = (temporary: string, args: string[] = []): SpawnedProcess =>
  spawnNode(DEMO, args, { cwd: tempDir(), env: { TMPDIR: temporary } })

test.concurrent('creates a story in four pictures, prints their folder, and leaves nothing else behind', async () => {
  const temporary = tempDir()
  const child = demo(temporary)
  expect(await child.exited, child.stderr).toEqual({ code: 0, signal: null })
  expect(child.stdout).toMatch(/POST \/v1\/batches {2}202 after \d+ ms {2}bat_\w{26}/)
  expect(child.stdout).toMatch(/^bat_\w+ {2}running: .* of 4/m)
  expect(child.stdout).toMatch(/^4 of 4 pictures in [\d.]+ s$/m)
  expect(child.stdout).toContain('Cost: 0.012 credits, estimated 0.012')
  const folder = /^Pictures: (.*)$/m.exec(child.stdout)?.[1] ?? ''
  expect(readdirSync(folder).sort()).toEqual(['cover.webp', 'page-1.webp', 'page-2.webp', 'page-3.webp'])
  expect(readFileSync(join(folder, 'cover.webp')).subarray(8, 12).toString()).toBe('WEBP')
  expect(readdirSync(temporary).map((name) => join(temporary, name))).toEqual([folder])
})

test.concurrent('ends in order at Ctrl-C, with nothing left behind', async () => {
  const temporary = tempDir()
  const child = demo(temporary, ['--out', tempDir()])
  await child.waitForLine(/POST \/v1\/batches/)
  child.signal('SIGINT')
  expect(await child.exited, child.stderr).toEqual({ code: 130, signal: null })
  expect(child.stdout).toContain('Stopping')
  expect(child.stderr).toBe('')
  expect(readdirSync(temporary)).toEqual([])
})
