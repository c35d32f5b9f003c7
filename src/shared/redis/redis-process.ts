import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { type RedisServer, serverEnv } from './find-redis-server.ts'

export interface LaunchOptions {
  server: RedisServer
  /** Absolute real path of an existing folder; Redis returns it for `CONFIG GET dir`, which identifies the server. */
  dir: string
  port: number
  /** Own process group (the default), so that Ctrl-C does not reach Redis before the workers have closed. */
  detached?: boolean
  extraFlags?: string[]
  /** Configuration file for settings that must not appear in the process list: the password. */
  configFile?: string
  env?: NodeJS.ProcessEnv
}

export interface RedisProcess {
  pid: number
  /** Resolves when the process has exited, with the end of its log. */
  ended: Promise<string>
}

/** Starts Redis; call `waitUntilReady` next. */
export async function launchRedis(options: LaunchOptions): Promise<RedisProcess> {
  const { server, dir, port } = options
  const flags = Object.entries({
    '--dir': dir,
    '--port': String(port),
    '--appendonly': 'yes',
    '--appendfsync': 'everysec',
    '--save': '',
    '--maxmemory-policy': 'noeviction',
  })
    .flat()
    .concat(options.extraFlags ?? [])
  const configFile = options.configFile === undefined ? [] : [options.configFile]
  const [file, args, env] =
    server.kind === 'binary'
      ? [server.file, [...configFile, '--bind', '127.0.0.1', ...flags], serverEnv(server.libraryPath)]
      : ['docker', dockerArgs(server.image, dir, port, configFile, flags), options.env]

  const log = join(dir, 'redis.log')
  const output = openSync(log, 'w')
  try {
    // Runs in Redis's folder, so that it does not keep the caller's folder busy.
    const child = spawn(file, args, {
      cwd: dir,
      detached: options.detached ?? true,
      stdio: ['ignore', output, output],
      ...(env && { env }),
    })
    const ended = new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(error.message))
      child.once('exit', () => resolve(lastWords(log)))
    })
    child.unref()
    if (child.pid === undefined) throw new Error(`Redis could not be started: ${await ended}`)
    return { pid: child.pid, ended }
  } finally {
    closeSync(output)
  }
}

/** The container sees the folder under the same path, so `CONFIG GET dir` means the same there. */
function dockerArgs(image: string, dir: string, port: number, configFile: string[], flags: string[]): string[] {
  const run = Object.entries({
    '--name': containerName(dir),
    '--volume': `${dir}:${dir}`,
    '--publish': `127.0.0.1:${port}:${port}`,
    '--entrypoint': 'redis-server',
    // The files in the folder stay owned by this user.
    ...(process.getuid && process.getgid && { '--user': `${process.getuid()}:${process.getgid()}` }),
  }).flat()
  return ['run', '--rm', ...run, image, ...configFile, '--bind', '0.0.0.0', '--protected-mode', 'no', ...flags]
}

/** One container name per folder, so that Docker refuses a second server on it. */
export function containerName(dir: string): string {
  return `genqueue-redis-${createHash('sha256').update(dir).digest('hex').slice(0, 12)}`
}

async function lastWords(log: string): Promise<string> {
  const text = await readFile(log, 'utf8').catch(() => '')
  return text.trim().split('\n').slice(-3).join('\n')
}

/** Waits until Redis has loaded its files and responds; rejects when it exits before, or stays silent for half a minute. */
export async function waitUntilReady(process: RedisProcess, port: number, password?: string): Promise<void> {
  let over: string | undefined
  void process.ended.then((words) => (over = words || 'it logged nothing'))
  let silentSince = performance.now()
  for (;;) {
    const state = await probe(port, password)
    if (state.answers && !state.loading) return
    if (over !== undefined) throw new Error(`Redis exited during startup: ${over}`)
    // Redis reports that it is loading a long append-only file.
    if (state.answers) silentSince = performance.now()
    if (performance.now() - silentSince > 30_000)
      throw new Error(`Redis (pid ${process.pid}) does not respond on port ${port}`)
    await delay(20)
  }
}

export type RedisProbe =
  | { answers: false; refused: boolean }
  /** `open`: it requires no password. */
  | { answers: true; loading: boolean; dir: string; open: boolean }

/** Identifies the Redis on a port of this machine. `refused`: it requires another password. */
export async function probe(port: number, password?: string): Promise<RedisProbe> {
  const reply = await converse(port, [...authentication(password), 'CONFIG GET dir', 'PING', 'QUIT'])
  const dir = /(?:^|\r\n)\*2\r\n\$3\r\ndir\r\n\$\d+\r\n(.*)\r\n/.exec(reply)?.[1]
  if (dir === undefined) return { answers: false, refused: /^-(?:NOAUTH|WRONGPASS)/m.test(reply) }
  const open = password === undefined || !reply.startsWith('+OK')
  return { answers: true, loading: !reply.includes('\r\n+PONG'), dir, open }
}

/** Sends SHUTDOWN, with which Redis writes its files, and waits for the connection to close. The caller watches for the exit. */
export async function shutdownRedis(port: number, password?: string): Promise<void> {
  await converse(port, [...authentication(password), 'SHUTDOWN'])
}

/** Sets a password on a Redis that has none. Open connections stay open. */
export async function lockRedis(port: number, password: string): Promise<void> {
  const reply = await converse(port, [`CONFIG SET requirepass ${password}`, 'QUIT'])
  if (!reply.startsWith('+OK')) throw new Error(`Redis on port ${port} refused the password: ${reply.trim()}`)
}

/** AUTH command. A Redis without a password replies with an error and serves the commands that follow. */
const authentication = (password: string | undefined): string[] => (password === undefined ? [] : [`AUTH ${password}`])

/**
 * Sends commands and returns everything that arrives until the server closes the connection, or within a second. Uses a
 * plain socket, because a client library would reconnect, and here the close is the expected result.
 */
async function converse(port: number, commands: string[]): Promise<string> {
  return new Promise((resolve) => {
    let reply = ''
    const socket = connect({ host: '127.0.0.1', port }, () =>
      socket.write(commands.map((line) => `${line}\r\n`).join('')),
    )
    socket.setEncoding('utf8')
    socket.setTimeout(1_000, () => socket.destroy())
    socket.on('data', (text: string) => (reply += text))
    socket.on('error', () => {})
    socket.on('close', () => resolve(reply))
  })
}

/** Returns a free port: the wished one if it is free. */
export async function freePort(wished = 0): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error) => (wished === 0 ? reject(error) : resolve(freePort())))
    server.listen({ port: wished, host: '127.0.0.1', exclusive: true }, () => {
      const address = server.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      server.close(() => resolve(port))
    })
  })
}
