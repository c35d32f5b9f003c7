import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { npm } from './npm.ts'

/**
 * What the packages are judged with: older versions of Node and TypeScript, Jest, esbuild, publint and attw. Installed from the lock
 * file of `toolchain` into the cache folder on first use: no other command of the project needs them.
 */

const RECIPE = join(import.meta.dirname, 'toolchain')

async function install(): Promise<string> {
  const lock = readFileSync(join(RECIPE, 'package-lock.json'))
  const hash = createHash('sha256').update(lock).update(`${process.platform}-${process.arch}`).digest('hex')
  const caches = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'genqueue')
  const home = join(caches, `toolchain-${hash.slice(0, 16)}`)
  if (existsSync(home)) return home
  process.stderr.write(
    'tests: installing older versions of Node and TypeScript, and Jest, into the cache folder, once (610 MB)\n',
  )
  mkdirSync(caches, { recursive: true })
  const work = mkdtempSync(join(caches, 'unpacking-'))
  try {
    for (const file of ['package.json', 'package-lock.json', '.npmrc'])
      copyFileSync(join(RECIPE, file), join(work, file))
    await npm(['ci', '--ignore-scripts'], { cwd: work })
    renameSync(work, home)
  } catch (error) {
    // Somebody else may have been first.
    if (!existsSync(home)) throw error
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
  return home
}

const home = await install()

/** A file of the toolchain's packages. */
export const tool = (...path: string[]): string => join(home, 'node_modules', ...path)

/** The Nodes that the client promises, by their version. npm has no older ones for some platforms. */
export const NODES: ReadonlyMap<number, string> = new Map(
  [
    { major: 18, file: tool(`node-18-${process.platform}-${process.arch}`, 'bin', 'node') },
    { major: 20, file: tool(`node-20-${process.platform}-${process.arch}`, 'bin', 'node') },
    { major: 24, file: process.execPath },
  ]
    .filter(({ file }) => existsSync(file))
    .map(({ major, file }) => [major, file]),
)

const node22 = tool(`node-22-${process.platform}-${process.arch}`, 'bin', 'node')
/** The oldest Node that the simulator promises, or this one, where npm has none for the platform. */
export const OLDEST_OF_SIMULATOR = existsSync(node22) ? node22 : process.execPath

/** PATH with this Node first, whatever the machine's own is. */
export const pathOf = (node: string): string => [dirname(node), process.env['PATH'] ?? ''].join(':')

export const PATH_OF_NODE_24 = pathOf(process.execPath)
