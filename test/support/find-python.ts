import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { unpackPackage } from '../../src/shared/process/unpack-package.ts'
import { cacheHome } from '../../src/shared/redis/find-redis-server.ts'

const run = promisify(execFile)

export interface Python {
  file: string
  /** Variables that it needs. */
  env: Record<string, string>
}

const cacheDir = join(cacheHome(process.env), 'genqueue')
const onProgress = (): void => undefined

/** Python 3.9 or newer: installed, or unpacked into the cache folder; `null` where neither is possible. */
export async function findPython(): Promise<Python | null> {
  if (await runs('python3', {})) return { file: 'python3', env: {} }
  const unpacked = await unpackPackage({
    name: 'python3',
    title: 'Python',
    program: 'usr/bin/python3',
    cacheDir,
    isUsable: (file, libraryPath) => runs(file, { LD_LIBRARY_PATH: libraryPath }),
    onProgress,
  })
  return unpacked ? { file: unpacked.file, env: { LD_LIBRARY_PATH: unpacked.libraryPath } } : null
}

/** Folder of Flask for PYTHONPATH, found in the same way; '' where Python has it. */
export async function findFlask({ file, env: own }: Python): Promise<string | null> {
  const has = (path: string): Promise<boolean> =>
    run(file, ['-c', 'import flask'], { timeout: 120_000, env: { ...process.env, ...own, PYTHONPATH: path } }).then(
      () => true,
      () => false,
    )
  if (await has('')) return ''
  const marker = 'usr/lib/python3/dist-packages/flask/app.py'
  const folderOf = (app: string): string => join(app, '../..')
  const unpacked = await unpackPackage({
    name: 'python3-flask',
    title: 'Flask',
    program: marker,
    cacheDir,
    isUsable: (app) => has(folderOf(app)),
    onProgress,
  })
  return unpacked ? folderOf(unpacked.file) : null
}

/** Whether it is new enough, and has what a client needs. */
async function runs(file: string, own: Record<string, string>): Promise<boolean> {
  const check = 'import sys, ssl, hashlib, unittest, urllib.request; sys.exit(sys.version_info < (3, 9))'
  return run(file, ['-c', check], { timeout: 120_000, env: { ...process.env, ...own } }).then(
    () => true,
    () => false,
  )
}
