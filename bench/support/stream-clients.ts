import { connect } from 'node:net'
import { parseArgs } from 'node:util'

/**
 * Holds event streams open and discards what they send; prints `open` when each has begun. A separate process, so that a
 * measurement does not pay for reading them. Each `--stream` is `<key> <path>`.
 */

const { values } = parseArgs({
  options: { port: { type: 'string', default: '' }, stream: { type: 'string', multiple: true, default: [] } },
})

/** Of streams that connect at the same time: more would wait for the queue of the listening socket. */
const AT_ONCE = 50

function open(stream: string): Promise<void> {
  const [key = '', path = ''] = stream.split(' ')
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: Number(values.port) })
    socket.setEncoding('latin1')
    socket.write(
      `GET ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: text/event-stream\r\nauthorization: Bearer ${key}\r\n\r\n`,
    )
    socket.once('data', (head: string) => {
      if (head.startsWith('HTTP/1.1 200')) resolve()
      else reject(new Error(head))
    })
    socket.on('data', () => {})
    socket.on('error', reject)
    socket.on('close', () => process.exit(1))
  })
}

for (let at = 0; at < values.stream.length; at += AT_ONCE)
  await Promise.all(values.stream.slice(at, at + AT_ONCE).map(open))
process.stdout.write('open\n')
