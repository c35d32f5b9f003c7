// Runs before every npm script, even before anything is installed: plain JavaScript for Node 18 and newer, without
// dependencies. Installs missing packages; with --page also builds the page. Prints nothing when everything is up to date.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { delimiter, dirname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

const WANTED_MAJOR = 24

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const modules = join(root, 'node_modules')
const ownNode = join(modules, '.bin', process.platform === 'win32' ? 'node.cmd' : 'node')
const installStamp = join(modules, '.installed')
const page = join(root, 'dist', 'studio')
const pageStamp = join(page, '.built')

try {
  if (!isInstalled()) alone(() => isInstalled() || install())
  checkNode()
  if (process.argv.includes('--page') && !isPageBuilt()) alone(() => isPageBuilt() || buildPage())
} catch (error) {
  process.stderr.write(`genqueue: ${error.message}\n`)
  process.exit(1)
}

// --- packages

function isInstalled() {
  const wanted = dependencyHash()
  if (read(installStamp) === wanted) return true
  if (!holdsAllOf(JSON.parse(read(join(root, 'package-lock.json'))))) return false
  // Installed by hand: npm's own record lists everything in the lock file.
  writeFileSync(installStamp, wanted)
  return true
}

function dependencyHash() {
  const { dependencies, devDependencies, overrides, allowScripts } = JSON.parse(read(join(root, 'package.json')))
  return hash([
    JSON.stringify({ dependencies, devDependencies, overrides, allowScripts }),
    read(join(root, 'package-lock.json')),
    read(join(root, 'tools', 'node-runtime', 'package.json')),
    `${process.platform}-${process.arch}`,
  ])
}

/** Whether everything in the lock file is installed. Absent optional packages do not count: most are for other platforms. */
function holdsAllOf(lock) {
  const record = read(join(modules, '.package-lock.json'))
  if (record === undefined) return false
  const present = JSON.parse(record).packages
  const same = ([path, entry]) =>
    present[path]
      ? present[path].version === entry.version && present[path].integrity === entry.integrity
      : entry.optional
  return (
    Object.entries(lock.packages).every(([path, entry]) => path === '' || same([path, entry])) &&
    !!present['node_modules/node-runtime']
  )
}

function install() {
  say('installing packages (half a minute the first time)')
  const { node, env } = outside()
  const npm = env.npm_execpath
  const args = ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error']
  const options = { cwd: root, env, stdio: ['ignore', 'inherit', 'inherit'] }
  const result = npm?.endsWith('.js')
    ? spawnSync(node, [npm, ...args], options)
    : spawnSync('npm', args, { ...options, shell: process.platform === 'win32' })
  if (result.status !== 0) throw new Error(`npm ci failed${result.error ? `: ${result.error.message}` : ''}`)
  writeFileSync(installStamp, dependencyHash())
}

/**
 * Node and environment for `npm ci`. It removes node_modules, which contains the Node that npm scripts find first, so it must
 * run on the machine's own Node. Variables of the calling script (npm_lifecycle_*) are removed; settings (npm_config_*) stay.
 */
function outside() {
  const path = (process.env.PATH ?? '').split(delimiter).filter((folder) => !isInside(folder))
  const env = { ...process.env, PATH: path.join(delimiter) }
  for (const name of Object.keys(env)) {
    if (/^(npm_lifecycle_|npm_package_|npm_command$|INIT_CWD$)/.test(name)) delete env[name]
  }
  const node = [env.npm_node_execpath, process.execPath].find((file) => file && !isInside(file)) ?? 'node'
  return { node, env }
}

function isInside(file) {
  return file.startsWith(modules + sep)
}

// --- Node

function checkNode() {
  // node_modules/.bin comes first for npm scripts; where npm has no Node for this platform, the machine's own is used.
  const hasOwn = existsSync(ownNode)
  if (!hasOwn || isInside(process.execPath)) return requireNode(process.version, 'this machine')
  const { stdout, error } = spawnSync(ownNode, ['--version'], { encoding: 'utf8', shell: process.platform === 'win32' })
  if (error || !stdout) throw new Error(`${relative(root, ownNode)} does not run on this system. ${installHint()}`)
  return requireNode(stdout.trim(), relative(root, ownNode))
}

function requireNode(version, where) {
  if (Number.parseInt(version.slice(1), 10) >= WANTED_MAJOR) return
  throw new Error(
    `Node ${version} (${where}) is too old: genqueue needs Node ${WANTED_MAJOR} or newer. ${installHint()}`,
  )
}

function installHint() {
  return `Install it, for example by "nvm install ${WANTED_MAJOR}" or "brew install node@${WANTED_MAJOR}", or use docker compose up.`
}

// --- page

function isPageBuilt() {
  return !existsSync(join(root, 'src', 'studio', 'vite.config.ts')) || read(pageStamp) === pageHash()
}

function pageHash() {
  const sources = ['src/studio', 'src/client'].flatMap((folder) => filesBelow(join(root, folder)))
  return hash([...sources.flatMap((file) => [relative(root, file), read(file)]), read(join(root, 'package-lock.json'))])
}

function buildPage() {
  say('building the page')
  const wanted = pageHash()
  const vite = join(modules, 'vite', 'bin', 'vite.js')
  const node = existsSync(ownNode) ? ownNode : process.execPath
  const args = [vite, 'build', '--config', join('src', 'studio', 'vite.config.ts'), '--logLevel', 'warn']
  // Always a production build: a NODE_ENV of the caller would change the result.
  const env = { ...process.env, NODE_ENV: 'production' }
  const result = spawnSync(node, args, {
    cwd: root,
    env,
    stdio: ['ignore', 'inherit', 'inherit'],
    shell: process.platform === 'win32',
  })
  if (result.status !== 0) throw new Error('Building the page failed.')
  writeFileSync(pageStamp, wanted)
}

function filesBelow(folder) {
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) => (entry.isDirectory() ? filesBelow(join(folder, entry.name)) : [join(folder, entry.name)]))
    .sort((a, b) => (a < b ? -1 : 1))
}

// --- helpers

/** Runs `work` under a lock, so that of two simultaneous starts the second one waits for the first. */
function alone(work) {
  mkdirSync(join(root, 'dist'), { recursive: true })
  const lock = join(root, 'dist', '.setup.lock')
  for (let waited = false; !tryCreate(lock); waited = true) {
    const holder = Number(read(lock))
    if (!waited) say(`waiting for the set-up of process ${holder}`)
    if (isAbandoned(lock, holder)) rmSync(lock, { force: true })
    else pause(200)
  }
  try {
    work()
  } finally {
    rmSync(lock, { force: true })
  }
}

function tryCreate(lock) {
  try {
    const file = openSync(lock, 'wx')
    writeSync(file, String(process.pid))
    closeSync(file)
    return true
  } catch (error) {
    if (error.code === 'EEXIST') return false
    throw error
  }
}

/** Whether the process of the lock has ended. A lock of 15 minutes counts too, because its pid may have been reused. */
function isAbandoned(lock, holder) {
  try {
    return (holder > 0 && !isAlive(holder)) || Date.now() - statSync(lock).mtimeMs > 15 * 60_000
  } catch {
    return false
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

function pause(milliseconds) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds)
}

function read(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined
}

function hash(parts) {
  const sum = createHash('sha256')
  for (const part of parts) sum.update(`${part}\0`)
  return sum.digest('hex')
}

function say(message) {
  process.stderr.write(`genqueue: ${message}\n`)
}
