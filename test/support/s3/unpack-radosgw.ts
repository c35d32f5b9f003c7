import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Ceph's S3 server, unpacked: it runs on its own libraries, independent of the system's. */
export interface Radosgw {
  /** The loader of its libc. */
  loader: string
  libraries: string
  folder: string
}

/** The suite with a radosgw that needs no cluster. */
const SUITE = 'trixie'
const HOME = join(
  process.env['XDG_CACHE_HOME'] || join(process.env['HOME'] || homedir(), '.cache'),
  'genqueue',
  `radosgw-${SUITE}-${process.arch}`,
)

/** What packages ask for and a server does not need. */
const UNNEEDED =
  /^(?:python3|libpython3|adduser|base-passwd|ca-certificates|debconf|dmsetup|dpkg|libpam|login|media-types|openssl$|passwd|readline-common|tar$|tzdata)/

/** Where it was unpacked before; null when it was not. */
export async function findUnpackedRadosgw(folder = HOME): Promise<Radosgw | null> {
  const libraries = join(folder, 'usr', 'lib')
  const triplet = (await readdir(libraries).catch(() => [])).find((name) => name.includes('-linux-gnu'))
  if (triplet === undefined) return null
  const own = join(libraries, triplet)
  const loader = (await readdir(own)).find((name) => /^ld-linux.*\.so\.\d+$/.test(name))
  if (loader === undefined || !existsSync(join(folder, 'usr', 'bin', 'radosgw'))) return null
  return { loader: join(own, loader), libraries: `${own}:${join(own, 'ceph')}`, folder }
}

/**
 * Unpacks it from Debian's archive into the cache folder: about 70 MB to download, 250 MB on disk. Any user may, and
 * nothing is installed into the system. Throws with the reason where this is not possible.
 */
export async function unpackRadosgw(say: (message: string) => void): Promise<Radosgw> {
  const known = await findUnpackedRadosgw()
  if (known) return known
  if (process.platform !== 'linux') throw new Error('it needs Linux')
  await run('/bin/sh', ['-c', 'command -v apt-get && command -v dpkg-deb']).catch(() => {
    throw new Error('it needs apt-get and dpkg-deb')
  })
  await mkdir(join(HOME, '..'), { recursive: true })
  return alone(`${HOME}.lock`, async () => {
    const theirs = await findUnpackedRadosgw()
    if (theirs) return theirs
    say(`unpacking an S3 server from Debian's ${SUITE} into the cache folder (70 MB, once)`)
    // A folder of our own, moved into place when it is whole.
    const work = await mkdtemp(`${HOME}.unpacking-`)
    try {
      await download(work)
      const unpacked = await findUnpackedRadosgw(join(work, 'root'))
      if (!unpacked) throw new Error('the packages hold no radosgw')
      await radosgw(unpacked, 'radosgw', ['--version'], 60_000)
      await rename(join(work, 'root'), HOME)
    } finally {
      await rm(work, { recursive: true, force: true })
    }
    const made = await findUnpackedRadosgw()
    if (!made) throw new Error('what was unpacked is gone')
    return made
  })
}

/** Runs one of its programs to the end, which takes a tenth of a second; `timeout` in ms. */
export async function radosgw(own: Radosgw, program: string, args: string[], timeout = 5000): Promise<void> {
  const file = join(own.folder, 'usr', 'bin', program)
  try {
    await run(own.loader, ['--library-path', own.libraries, file, ...args], { timeout, killSignal: 'SIGKILL' })
  } catch (error) {
    const killed = error instanceof Error && 'killed' in error && error.killed === true
    const why = killed ? `stood still for ${timeout} ms` : String(error).split('\n').slice(1, 4).join(' ')
    throw new Error(`${program} ${why}`, { cause: error })
  }
}

async function download(work: string): Promise<void> {
  const folder = (...names: string[]) => join(work, ...names)
  const folders = ['lists/partial', 'cache/archives/partial', 'debs', 'root']
  await Promise.all(folders.map((name) => mkdir(folder(name), { recursive: true })))
  await writeFile(folder('status'), '')
  await writeFile(folder('sources.list'), `deb ${await mirror()} ${SUITE} main\n`)
  const settings = {
    'Dir::State::Lists': folder('lists'),
    'Dir::State::status': folder('status'),
    'Dir::Cache': folder('cache'),
    'Dir::Etc::SourceList': folder('sources.list'),
    'Dir::Etc::SourceParts': '/dev/null',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '3',
    'APT::Update::Error-Mode': 'any',
    'Acquire::http::Timeout': '20',
    'Acquire::https::Timeout': '20',
    // The folders are ours alone, so root must not hand the download to the _apt user; nor may we need the system's lock.
    'APT::Sandbox::User': 'root',
    'Debug::NoLocking': '1',
  }
  const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  const apt = (args: string[]) =>
    run('apt-get', ['-q', ...options, ...args], {
      cwd: folder('debs'),
      timeout: 600_000,
      maxBuffer: 16 * 1024 * 1024,
    }).catch((error: unknown) => {
      const text = error instanceof Error ? error.message : String(error)
      throw new Error(`apt-get ${args[0]}: ${/^E: .*$/m.exec(text)?.[0] ?? 'failed'}`, { cause: error })
    })
  await apt(['update'])
  const { stdout } = await apt(['--simulate', '--no-install-recommends', 'install', 'radosgw'])
  const names = [...stdout.matchAll(/^Inst (\S+)/gm)].flatMap(([, name]) => name ?? [])
  await apt(['download', ...names.filter((name) => !UNNEEDED.test(name))])
  for (const file of await readdir(folder('debs')))
    await run('dpkg-deb', ['-x', join(folder('debs'), file), folder('root')])
}

/** Where this machine's own packages come from, or Debian's usual address. */
async function mirror(): Promise<string> {
  const { stdout } = await run('apt-get', ['indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages']).catch(
    () => ({ stdout: '' }),
  )
  const own = stdout.split('\n').find((line) => /\/debian\/?$/.test(line))
  return own?.replace(/\/$/, '') ?? 'http://deb.debian.org/debian'
}

/** One process at a time; the folder of one that was killed counts as abandoned once no process refreshes it. */
async function alone<T>(lock: string, work: () => Promise<T>): Promise<T> {
  for (;;) {
    const isOurs = await mkdir(lock).then(
      () => true,
      () => false,
    )
    if (isOurs) break
    const age = Date.now() - (await stat(lock).catch(() => ({ mtimeMs: Date.now() }))).mtimeMs
    if (age > 15_000) await rm(lock, { recursive: true, force: true })
    else await delay(200)
  }
  const fresh = setInterval(() => void utimes(lock, new Date(), new Date()).catch(() => undefined), 2000)
  try {
    return await work()
  } finally {
    clearInterval(fresh)
    await rm(lock, { recursive: true, force: true })
  }
}
