import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { describe, expect, it } from 'vitest'

import { spawnNode } from '../support/spawn-process.ts'
import { tempDir } from '../support/temp-dir.ts'

describe('the set-up before npm scripts', () => {
  it('installs what is missing, once, and again only when dependencies have changed', async () => {
    const project = smallProject()
    expect(await setUp(project)).toMatchObject({ code: 0, said: expect.stringContaining('installing packages') })
    expect(existsSync(join(project, 'node_modules', 'node-runtime', 'package.json'))).toBe(true)
    expect(await setUp(project)).toEqual({ code: 0, said: '' })

    // A new script is no new dependency.
    writeManifest(project, { scripts: { hello: 'echo hello' } })
    expect(await setUp(project)).toEqual({ code: 0, said: '' })
    write(project, 'tools/node-runtime/package.json', JSON.stringify({ name: 'node-runtime', version: '24.0.1' }))
    write(project, 'package-lock.json', lock('24.0.1'))
    expect(await setUp(project)).toMatchObject({ code: 0, said: expect.stringContaining('installing packages') })
    expect(await setUp(project)).toEqual({ code: 0, said: '' })
  })

  it('leaves a manual install alone', async () => {
    const project = smallProject()
    await setUp(project)
    write(project, 'node_modules/.installed', 'of another time')
    expect(await setUp(project)).toEqual({ code: 0, said: '' })
  })

  it('lets one of two work and the other wait', async () => {
    const project = smallProject()
    const both = await Promise.all([setUp(project), setUp(project)])
    expect(both.map(({ code }) => code)).toEqual([0, 0])
    expect(both.filter(({ said }) => said.includes('installing packages'))).toHaveLength(1)
  })

  it('resumes after a set-up that was killed', async () => {
    const project = smallProject()
    write(project, 'dist/.setup.lock', String(2 ** 22 + 1))
    expect(await setUp(project)).toMatchObject({ code: 0, said: expect.stringContaining('installing packages') })
    expect(existsSync(join(project, 'dist/.setup.lock'))).toBe(false)
  })

  it('builds the page when its sources have changed, and only then', async () => {
    const project = smallProject()
    await setUp(project)
    write(project, 'src/studio/vite.config.ts', '')
    write(project, 'src/client/types.ts', 'one')
    write(project, 'node_modules/vite/bin/vite.js', STAND_IN_FOR_VITE)
    const built = () => readFileSync(join(project, 'dist/studio/index.html'), 'utf8')

    expect(await setUp(project)).toEqual({ code: 0, said: '' })
    expect(await setUp(project, '--page')).toMatchObject({
      code: 0,
      said: expect.stringContaining('building the page'),
    })
    expect(built()).toBe('built from one')
    expect(await setUp(project, '--page')).toEqual({ code: 0, said: '' })
    write(project, 'src/client/types.ts', 'two')
    await setUp(project, '--page')
    expect(built()).toBe('built from two')

    write(project, 'node_modules/vite/bin/vite.js', 'process.exit(1)')
    write(project, 'src/client/types.ts', 'three')
    expect(await setUp(project, '--page')).toMatchObject({
      code: 1,
      said: expect.stringContaining('Building the page failed.'),
    })
  })

  it('says how to install Node when the Node of npm scripts is too old', async () => {
    const project = smallProject()
    await setUp(project)
    write(project, 'node_modules/.bin/node', '#!/bin/sh\necho v20.11.0\n')
    chmodSync(join(project, 'node_modules/.bin/node'), 0o755)
    const { code, said } = await setUp(project)
    expect(code).toBe(1)
    expect(said).toMatch(/Node v20\.11\.0 .* is too old: genqueue needs Node 24 or newer\. .*nvm install 24/)
  })
})

const STAND_IN_FOR_VITE = `
  const { mkdirSync, readFileSync, writeFileSync } = require('node:fs')
  mkdirSync('dist/studio', { recursive: true })
  writeFileSync('dist/studio/index.html', 'built from ' + readFileSync('src/client/types.ts', 'utf8'))
`

/** A project with our set-up and one dependency, a local folder: npm needs no network for it. */
function smallProject(): string {
  const project = tempDir()
  mkdirSync(join(project, 'tools'))
  copyFileSync(join(import.meta.dirname, '../../tools/setup.mjs'), join(project, 'tools/setup.mjs'))
  writeManifest(project)
  write(project, 'tools/node-runtime/package.json', JSON.stringify({ name: 'node-runtime', version: '24.0.0' }))
  write(project, 'package-lock.json', lock('24.0.0'))
  return project
}

function writeManifest(project: string, more: object = {}): void {
  const devDependencies = { 'node-runtime': 'file:./tools/node-runtime' }
  write(project, 'package.json', JSON.stringify({ name: 'small', version: '1.0.0', devDependencies, ...more }))
}

function lock(version: string): string {
  return JSON.stringify({
    name: 'small',
    version: '1.0.0',
    lockfileVersion: 3,
    packages: {
      '': { name: 'small', version: '1.0.0', devDependencies: { 'node-runtime': 'file:./tools/node-runtime' } },
      'node_modules/node-runtime': { resolved: 'tools/node-runtime', link: true },
      'tools/node-runtime': { version, dev: true },
    },
  })
}

function write(project: string, file: string, text: string): void {
  mkdirSync(dirname(join(project, file)), { recursive: true })
  writeFileSync(join(project, file), text)
}

async function setUp(project: string, ...args: string[]): Promise<{ code: number | null; said: string }> {
  const run = spawnNode(join(project, 'tools/setup.mjs'), args, { cwd: project })
  const { code } = await run.exited
  return { code, said: run.stderr }
}
