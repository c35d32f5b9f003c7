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

interface FindOptions {
  env?: NodeJS.ProcessEnv
  onProgress?: (message: string) => void
}

/** Python 3.9 or newer: installed, or unpacked into the cache folder; `null` where neither is possible. */
export async function findPython({
  env = process.env,
  onProgress = () => {},
}: FindOptions = {}): Promise<Python | null> {
  if (await runs('python3', {}, env)) return { file: 'python3', env: {} }
  const unpacked = await unpackPackage({
    name: 'python3',
    title: 'Python',
    program: 'usr/bin/python3',
    cacheDir: join(cacheHome(env), 'genqueue'),
    isUsable: (file, libraryPath) => runs(file, { LD_LIBRARY_PATH: libraryPath }, env),
    onProgress,
    env,
  })
  return unpacked ? { file: unpacked.file, env: { LD_LIBRARY_PATH: unpacked.libraryPath } } : null
}

/** Whether it is new enough, and has what a client needs. */
async function runs(file: string, own: Record<string, string>, env: NodeJS.ProcessEnv): Promise<boolean> {
  const check = 'import sys, ssl, hashlib, unittest, urllib.request; sys.exit(sys.version_info < (3, 9))'
  return run(file, ['-c', check], { timeout: 20_000, env: { ...env, ...own } }).then(
    () => true,
    () => false,
  )
}
