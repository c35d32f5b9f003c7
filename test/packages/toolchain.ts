import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { installRecipe } from '../support/install-recipe.ts'

/**
 * What the packages are judged with: older versions of Node and TypeScript, Jest, esbuild, publint and attw. Installed from the lock
 * file of `toolchain` into the cache folder on first use: no other command of the project needs them.
 */

const home = await installRecipe(
  join(import.meta.dirname, 'toolchain'),
  'toolchain',
  'installing older versions of Node and TypeScript, and Jest, into the cache folder, once (610 MB)',
)

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
