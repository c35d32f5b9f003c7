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
  /** Absolute, existing, its real path: Redis answers with it when asked whose it is. */
  dir: string
  port: number
  /** In a process group of its own (the default), so that Ctrl-C does not reach it before the workers have closed. */
  detached?: boolean
  extraFlags?: string[]
  /** A configuration file with what must not stand in the list of processes: the password. */
  configFile?: string
  env?: NodeJS.ProcessEnv
}

export interface RedisProcess {
  pid: number
  /** Settles when the process has ended, with the last words of its log. */
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
    // Redis's own folder as the current one: it must not hold the caller's.
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
    // The files in the folder stay ours.
    ...(process.getuid && process.getgid && { '--user': `${process.getuid()}:${process.getgid()}` }),
  }).flat()
  return ['run', '--rm', ...run, image, ...configFile, '--bind', '0.0.0.0', '--protected-mode', 'no', ...flags]
}

/** One name for one folder: Docker itself refuses a second server on it. */
export function containerName(dir: string): string {
  return `genqueue-redis-${createHash('sha256').update(dir).digest('hex').slice(0, 12)}`
}

async function lastWords(log: string): Promise<string> {
  const text = await readFile(log, 'utf8').catch(() => '')
  return text.trim().split('\n').slice(-3).join('\n')
}

/** Waits until Redis has read its files and answers; rejects when it ends before, or stays silent for half a minute. */
export async function waitUntilReady(process: RedisProcess, port: number, password?: string): Promise<void> {
  let over: string | undefined
  void process.ended.then((words) => (over = words || 'it said nothing'))
  let silentSince = performance.now()
  for (;;) {
    const state = await probe(port, password)
    if (state.answers && !state.loading) return
    if (over !== undefined) throw new Error(`Redis ended as it started: ${over}`)
    // Reading a long append-only file takes its time, and Redis says so.
    if (state.answers) silentSince = performance.now()
    if (performance.now() - silentSince > 30_000)
      throw new Error(`Redis (pid ${process.pid}) does not answer on port ${port}`)
    await delay(20)
  }
}

export type RedisProbe =
  | { answers: false; refused: boolean }
  /** `open`: it asks for no password. */
  | { answers: true; loading: boolean; dir: string; open: boolean }

/** Who answers on this port of this machine? `refused`: a Redis that wants another password. */
export async function probe(port: number, password?: string): Promise<RedisProbe> {
  const reply = await converse(port, [...authentication(password), 'CONFIG GET dir', 'PING', 'QUIT'])
  const dir = /(?:^|\r\n)\*2\r\n\$3\r\ndir\r\n\$\d+\r\n(.*)\r\n/.exec(reply)?.[1]
  if (dir === undefined) return { answers: false, refused: /^-(?:NOAUTH|WRONGPASS)/m.test(reply) }
  const open = password === undefined || !reply.startsWith('+OK')
  return { answers: true, loading: !reply.includes('\r\n+PONG'), dir, open }
}

/** Asks Redis to write its files and end. Its answer is the closed connection; whether it is gone, the caller watches. */
export async function shutdownRedis(port: number, password?: string): Promise<void> {
  await converse(port, [...authentication(password), 'SHUTDOWN'])
}

/** Gives a Redis that asks for no password one. Connections that are open stay so. */
export async function lockRedis(port: number, password: string): Promise<void> {
  const reply = await converse(port, [`CONFIG SET requirepass ${password}`, 'QUIT'])
  if (!reply.startsWith('+OK')) throw new Error(`Redis on port ${port} took no password: ${reply.trim()}`)
}

/** A Redis without a password answers with an error, and the next commands as without it. */
const authentication = (password: string | undefined): string[] => (password === undefined ? [] : [`AUTH ${password}`])

/**
 * Says some commands and returns all that comes back until the other side hangs up; what it said so far when it does
 * not within a second. Bare sockets: a client library is made to come back, and here the end is what we wait for.
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

/** A port that nobody listens on: the wished one if it is free. */
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
