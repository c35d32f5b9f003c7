import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { npm } from '../packages/npm.ts'

/**
 * Installs the packages of a folder with a lock file into the cache folder, once, and returns the folder with their
 * `node_modules`. For packages that no other command of the project needs.
 */
export async function installRecipe(recipe: string, name: string, say: string): Promise<string> {
  const lock = readFileSync(join(recipe, 'package-lock.json'))
  const hash = createHash('sha256').update(lock).update(`${process.platform}-${process.arch}`).digest('hex')
  const caches = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'genqueue')
  const home = join(caches, `${name}-${hash.slice(0, 16)}`)
  if (existsSync(home)) return home
  process.stderr.write(`tests: ${say}\n`)
  mkdirSync(caches, { recursive: true })
  const work = mkdtempSync(join(caches, 'unpacking-'))
  try {
    for (const file of ['package.json', 'package-lock.json', '.npmrc'])
      copyFileSync(join(recipe, file), join(work, file))
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
