import { randomUUID } from 'node:crypto'
import { connect } from 'node:net'
import type { Redis } from 'ioredis'
import { waitFor } from './wait-for.ts'

const unescape = (text: string): string =>
  text.replaceAll(/\\(?:x([0-9a-f]{2})|(.))/g, (_all, code: string | undefined, letter: string) => {
    if (code !== undefined) return String.fromCharCode(Number.parseInt(code, 16))
    return { n: '\n', r: '\r', t: '\t', a: '\u0007', b: '\b' }[letter] ?? letter
  })

/**
 * The commands that a Redis was given by anybody while `work` ran, those of scripts among them. By MONITOR on a socket of
 * its own: the one of ioredis mixes up replies when Redis is busy.
 */
export async function commandsDuring(redis: Redis, work: () => Promise<unknown>): Promise<string[][]> {
  const { host = '127.0.0.1', port = 6379 } = redis.options
  const socket = connect(port, host)
  let text = ''
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk
  })
  try {
    socket.write('MONITOR\r\n')
    await waitFor('Redis to be listened to', () => text.startsWith('+OK'))
    await work()
    const mark = randomUUID()
    await redis.echo(mark)
    await waitFor('all commands', () => text.includes(mark))
    return text
      .split('\r\n')
      .filter((line) => line.includes('"') && !line.includes(mark))
      .map((line) => [...line.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, word = '']) => unescape(word)))
  } finally {
    socket.destroy()
  }
}
