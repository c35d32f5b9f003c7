import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { makeFolder } from './make-folder.ts'
import { messageOf } from '../values/error-text.ts'

const run = promisify(execFile)

export interface Unpacked {
  file: string
  /** Of LD_LIBRARY_PATH. */
  libraryPath: string
}

interface UnpackOptions {
  /** As the distribution names it. */
  name: string
  /** As progress names it. */
  title: string
  /** The program in it, such as `usr/bin/redis-server`, or another of its files. */
  program: string
  cacheDir: string
  isUsable: (file: string, libraryPath: string) => Promise<boolean>
  onProgress: (message: string) => void
  env?: NodeJS.ProcessEnv
}

/**
 * On Debian and Ubuntu, unpacks a program from the distribution's archive into the cache folder, without root and without
 * installing it. Later calls reuse it. `undefined` where this is not possible.
 */
export async function unpackPackage(options: UnpackOptions): Promise<Unpacked | undefined> {
  if (process.platform !== 'linux') return undefined
  const { title, program } = options
  const home = join(options.cacheDir, `${title.toLowerCase()}-${await systemName()}-${process.arch}`)

  const remembered = await locate(home, program)
  if (remembered && (await options.isUsable(remembered.file, remembered.libraryPath))) return remembered
  if (!(await hasApt(options.env))) return undefined

  options.onProgress(`no ${title} found: unpacking one from the package archive into the cache folder`)
  await makeFolder(options.cacheDir)
  // A temporary folder, moved into place when complete, so that two concurrent runs do not interfere.
  const work = await mkdtemp(join(options.cacheDir, 'unpacking-'))
  try {
    const root = join(work, 'root')
    await download(options.name, work, root, options.env)
    const unpacked = await locate(root, program)
    if (!unpacked || !(await options.isUsable(unpacked.file, unpacked.libraryPath))) {
      options.onProgress(`the unpacked ${title} does not run on this system`)
      return undefined
    }
    await rename(root, home).catch(async () => {
      // Another run was first, or the remembered copy has become unusable.
      const theirs = await locate(home, program)
      if (theirs && (await options.isUsable(theirs.file, theirs.libraryPath))) return
      await rename(home, join(work, 'unusable'))
      await rename(root, home)
    })
    return await locate(home, program)
  } catch (error) {
    options.onProgress(`${title} could not be unpacked: ${firstLine(error)}`)
    return undefined
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

/** System name in the cache path: machines can share a home folder, and a binary of one system does not suit another. */
async function systemName(): Promise<string> {
  const text = await readFile('/etc/os-release', 'utf8').catch(() => '')
  const field = (name: string) => new RegExp(`^${name}="?([\\w.-]+)`, 'm').exec(text)?.[1]
  return `${field('ID') ?? 'linux'}-${field('VERSION_ID') ?? 'unknown'}`
}

async function hasApt(env: NodeJS.ProcessEnv | undefined): Promise<boolean> {
  return run('/bin/sh', ['-c', 'command -v apt-get && command -v dpkg-deb'], env ? { env } : {}).then(
    () => true,
    () => false,
  )
}

async function download(name: string, work: string, root: string, env: NodeJS.ProcessEnv | undefined): Promise<void> {
  const lists = join(work, 'lists')
  const cache = join(work, 'cache')
  const debs = join(work, 'debs')
  await Promise.all(
    [join(lists, 'partial'), join(cache, 'archives', 'partial'), debs, root].map((folder) => makeFolder(folder)),
  )
  const settings = {
    'Dir::State::Lists': lists,
    'Dir::Cache': cache,
    'Acquire::Languages': 'none',
    'Acquire::Retries': '1',
    'Acquire::http::Timeout': '10',
    'Acquire::https::Timeout': '10',
    // Only this user can read the folders, so root must not pass the download to the _apt user. The system's lock is not needed.
    'APT::Sandbox::User': 'root',
    'Debug::NoLocking': '1',
  }
  const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  const apt = (args: string[]) =>
    run('apt-get', ['-q', ...options, ...args], {
      cwd: debs,
      timeout: 120_000,
      maxBuffer: 16 * 1024 * 1024,
      ...(env && { env }),
    })

  await apt(['update'])
  // A dry run lists the packages that this system lacks.
  const plan = await apt(['--simulate', '--no-install-recommends', 'install', name])
  const names = [...plan.stdout.matchAll(/^Inst (\S+)/gm)].flatMap(([, one]) => (one === undefined ? [] : [one]))
  await apt(['download', ...names])
  for (const file of await readdir(debs)) await run('dpkg-deb', ['-x', join(debs, file), root])
}

async function locate(root: string, program: string): Promise<Unpacked | undefined> {
  const file = join(root, program)
  if (!existsSync(file)) return undefined
  // Packages of Debian 12 still keep some libraries outside /usr.
  const homes = [join(root, 'usr', 'lib'), join(root, 'lib')]
  const folders = await Promise.all(
    homes.map(async (home) => (await readdir(home).catch(() => [])).map((name) => join(home, name))),
  )
  return {
    file,
    libraryPath: folders
      .flat()
      .filter((folder) => folder.includes('-linux-gnu'))
      .join(':'),
  }
}

function firstLine(error: unknown): string {
  const text = messageOf(error)
  return text.split('\n').find((line) => line.startsWith('E:')) ?? text.split('\n')[0] ?? text
}
