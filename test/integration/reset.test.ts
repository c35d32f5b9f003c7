import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { describe, expect, it } from 'vitest'

import { spawnNode } from '../support/spawn-process.ts'
import { tempDir } from '../support/temp-dir.ts'

const RESET = join(import.meta.dirname, '../../tools/reset.ts')
const OWNER = join(import.meta.dirname, '../fixtures/redis-owner.ts')

describe('npm run reset', () => {
  it('empties the data folder, and ends a Redis that was left in it', async () => {
    const dataDir = tempDir()
    const owner = spawnNode(OWNER, [dataDir])
    await owner.waitForLine(/^ready/)
    await owner.kill('SIGKILL')
    mkdirSync(join(dataDir, 'artifacts'))
    writeFileSync(join(dataDir, 'artifacts', 'picture'), 'bytes')

    const run = reset(dataDir)
    expect(await run.exited).toEqual({ code: 0, signal: null })
    expect(run.stdout).toContain(`${dataDir} is empty`)
    expect(readdirSync(dataDir)).toEqual([])
    const again = spawnNode(OWNER, [dataDir])
    expect((await again.waitForLine(/^ready/)).input).toContain('adopted=false')
    await again.kill()
  })

  it('refuses while a process works in it, and names that process', async () => {
    const dataDir = tempDir()
    const owner = spawnNode(OWNER, [dataDir])
    await owner.waitForLine(/^ready/)
    const refused = reset(dataDir)
    expect((await refused.exited).code).toBe(1)
    expect(refused.stderr).toContain(`process ${owner.pid}`)
    expect(existsSync(join(dataDir, 'redis'))).toBe(true)
    await owner.kill()
  })

  it('refuses a folder that holds more than our data, and leaves one alone that does not exist', async () => {
    const home = tempDir()
    writeFileSync(join(home, 'letter'), 'dear reader')
    const refused = reset(home, { HOME: home })
    expect((await refused.exited).code).toBe(1)
    expect(readdirSync(home)).toEqual(['letter'])

    const nothing = reset(join(home, 'nowhere'))
    expect((await nothing.exited).code).toBe(0)
    expect(readdirSync(home)).toEqual(['letter'])
  })
})

function reset(dataDir: string, env: Record<string, string> = {}) {
  return spawnNode(RESET, [], { env: { DATA_DIR: dataDir, ...env } })
}
