import { connect, type Socket } from 'node:net'
import { parseArgs } from 'node:util'

/**
 * Repeats one POST over keep-alive connections, and prints a `LoadReport` as a line of JSON. Runs in a separate process and
 * uses plain sockets, so that it needs little CPU time compared with the server.
 *
 * Without `--rate`, each connection sends its next request after the previous response. With a rate, requests are due at even
 * intervals, regardless of responses, and a latency is measured from the due time: a stalled server is charged for the
 * requests that became due meanwhile.
 */

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '' },
    path: { type: 'string', default: '/' },
    body: { type: 'string', default: '{}' },
    header: { type: 'string', multiple: true, default: [] },
    connections: { type: 'string', default: '32' },
    seconds: { type: 'string', default: '4' },
    rate: { type: 'string', default: '0' },
    /** Each request has its own Idempotency-Key. */
    keyed: { type: 'boolean', default: false },
  },
})

export interface LoadReport {
  answered: number
  /** Responses other than 2xx. */
  wrong: number
  /** The first wrong response. */
  example: string | null
  seconds: number
  /** ms */
  p50: number
  p99: number
}

const [count, seconds, rate] = [Number(values.connections), Number(values.seconds), Number(values.rate)]
const fixed = [
  `POST ${values.path} HTTP/1.1`,
  `host: 127.0.0.1:${values.port}`,
  'content-type: application/json',
  `content-length: ${Buffer.byteLength(values.body)}`,
  ...values.header,
].join('\r\n')

let sent = 0
const request = (): string =>
  `${fixed}\r\n${values.keyed ? `idempotency-key: ${process.pid}-${sent++}\r\n` : ''}\r\n${values.body}`

const latencies: number[] = []
let wrong = 0
let example: string | null = null
let over = false
/** Due times of requests that wait for a free connection. */
const late: number[] = []
const idle: Connection[] = []

interface Connection {
  send: (due: number) => void
}

function open(): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect({ host: '127.0.0.1', port: Number(values.port) })
    socket.setNoDelay(true)
    let due = 0
    let buffer = ''
    const connection: Connection = {
      send(at) {
        due = at
        socket.write(request())
      },
    }
    socket.setEncoding('latin1')
    socket.on('connect', () => resolve(connection))
    socket.on('error', reject)
    socket.on('data', (chunk: string) => {
      buffer += chunk
      const head = buffer.indexOf('\r\n\r\n')
      if (head === -1) return
      const length = Number(/content-length: (\d+)/i.exec(buffer)?.[1] ?? 0)
      if (buffer.length < head + 4 + length) return
      if (!over) {
        latencies.push(performance.now() - due)
        if (!buffer.startsWith('HTTP/1.1 2')) {
          wrong++
          example ??= buffer
        }
      }
      buffer = ''
      next(connection)
    })
  })
}

function next(connection: Connection): void {
  if (over) return
  if (rate === 0) return connection.send(performance.now())
  const due = late.shift()
  if (due === undefined) idle.push(connection)
  else connection.send(due)
}

const connections = await Promise.all(Array.from({ length: count }, open))
const began = performance.now()
for (const connection of connections) next(connection)
if (rate > 0) {
  let planned = 0
  setInterval(() => {
    const now = performance.now()
    for (; began + (planned * 1000) / rate <= now; planned++) {
      const due = began + (planned * 1000) / rate
      const connection = idle.shift()
      if (connection) connection.send(due)
      else late.push(due)
    }
  }, 1)
}
setTimeout(() => {
  over = true
  const sorted = latencies.sort((a, b) => a - b)
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
  const report: LoadReport = {
    answered: latencies.length - wrong,
    wrong,
    example,
    seconds: (performance.now() - began) / 1000,
    p50: at(0.5),
    p99: at(0.99),
  }
  process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0))
}, seconds * 1000)
