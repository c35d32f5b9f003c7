// Runs a command on Node 24. It becomes bin/on-node-24.mjs of the packages; every Node that meets it must be able to read it.
import { spawn, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const WANTED = 24

/**
 * Imports `file` where Node is new enough, else runs it with the Node 24 that npm brings, once, into its own cache. `least` is
 * the oldest version that is new enough, such as `22.19`.
 */
export async function onNode24(name, file, least = String(WANTED)) {
  const { node } = process.versions
  if (isSince(node, least)) return import(file.href)
  const path = nodeFromNpm(`${name} needs Node ${least}; this is Node ${node} (${process.execPath}).`)
  if (path === undefined) {
    process.stderr.write(
      `${name} needs Node ${least} or newer; this is Node ${node} (${process.execPath}), and npm brought none.\n` +
        `Install it, for example with "nvm install ${WANTED}".\n`,
    )
    process.exit(1)
  }
  const child = spawn(path, [fileURLToPath(file), ...process.argv.slice(2)], { stdio: 'inherit' })
  // A terminal sends Ctrl-C to both; what a supervisor sends must reach the child.
  process.on('SIGINT', () => {})
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGUSR2']) process.on(signal, () => child.kill(signal))
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}

function isSince(version, least) {
  const [major, minor] = version.split('.').map(Number)
  const [wantedMajor, wantedMinor = 0] = least.split('.').map(Number)
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)
}

/** The path of a Node 24 that npm has, or fetches; undefined where it has none for this platform or cannot be asked. */
function nodeFromNpm(why) {
  const wanted = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}@${WANTED}`
  const ask = (...flags) => {
    const args = ['exec', '--yes', ...flags, `--package=${wanted}`, '--', 'node', '-p', 'process.execPath']
    const shell = process.platform === 'win32'
    const { status, stdout } = spawnSync('npm', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], shell })
    return status === 0 ? stdout.trim() : undefined
  }
  const known = ask('--offline')
  if (known !== undefined) return known
  process.stderr.write(`${why} npm fetches one (45 MB, once).\n`)
  return ask()
}
