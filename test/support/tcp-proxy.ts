import { type Server, type Socket, connect, createServer } from 'node:net'

import { afterFile } from './after-file.ts'
import { freePort } from './free-port.ts'

export type Direction = 'to-target' | 'to-client'

export interface TcpProxy {
  readonly port: number
  /** Connections that are open now. */
  readonly connections: number
  /** Every byte arrives this many milliseconds later, in both directions. */
  latency(milliseconds: number): void
  /** Connections open and stay open, and nothing arrives until `heal`: then everything does, as TCP would have it. */
  blackHole(): void
  /** Milliseconds between the bytes of the response, which arrive one by one. */
  trickle(milliseconds: number): void
  /** Each connection is reset once this many bytes have gone that way, counted from now. */
  cutAfter(bytes: number, direction?: Direction): void
  /** Nobody listens any more; what is open stays open. */
  refuse(): Promise<void>
  /** Resets what is open. */
  resetAll(): void
  /** New connections lead to another port of this machine; what is open stays as it is. */
  leadTo(port: number): void
  /** Switches every fault off. */
  heal(): Promise<void>
  stop(): Promise<void>
}

interface Pair {
  client: Socket
  target: Socket
}

/** A port that leads to another one, with the faults of a network on demand. It ends with the test file at the latest. */
export async function startTcpProxy(target: { host?: string; port: number }): Promise<TcpProxy> {
  const pairs = new Set<Pair>()
  let targetPort = target.port
  let delay = 0
  let drip = 0
  let hole = false
  let cut: { bytes: number; direction: Direction } | undefined
  let spent = new WeakMap<Pair, number>()

  const accept = (client: Socket) => {
    const pair = { client, target: connect({ host: target.host ?? '127.0.0.1', port: targetPort }) }
    pairs.add(pair)
    forward(pair, 'to-target')
    forward(pair, 'to-client')
    if (hole) hold(pair)
  }

  const forward = (pair: Pair, direction: Direction) => {
    const [from, to] = direction === 'to-target' ? [pair.client, pair.target] : [pair.target, pair.client]
    // One after the other, also when the latency becomes smaller in between: timers alone do not keep their order.
    const line: { due: number; work: () => void }[] = []
    let latest = 0
    const later = (work: () => void, apart = 0) => {
      latest = Math.max(performance.now() + delay, latest + apart)
      line.push({ due: latest, work })
      if (line.length === 1) advance()
    }
    const advance = () => {
      for (let first = line[0]; first; first = line[0]) {
        const wait = first.due - performance.now()
        if (wait > 0) return void setTimeout(advance, Math.ceil(wait))
        first.work()
        line.shift()
      }
    }
    from.setNoDelay(true)
    from.on('error', () => reset(pair))
    from.on('close', () => pairs.delete(pair))
    from.on('end', () => later(() => to.end()))
    // Nothing follows what was cut off, also when more arrives, or the fault ends, before the reset: TCP leaves no gaps.
    let over = false
    from.on('data', (chunk: Buffer) => {
      if (over) return
      const left = remaining(pair, direction)
      const passes = chunk.subarray(0, left)
      if (drip === 0 || direction === 'to-target') later(() => to.write(passes))
      else for (const byte of passes) later(() => to.write(Buffer.of(byte)), drip)
      if (left > chunk.length) {
        if (cut?.direction === direction) spent.set(pair, (spent.get(pair) ?? 0) + chunk.length)
        return
      }
      over = true
      later(() => setImmediate(() => reset(pair)))
    })
  }

  const remaining = (pair: Pair, direction: Direction) =>
    cut?.direction === direction ? cut.bytes - (spent.get(pair) ?? 0) : Number.POSITIVE_INFINITY

  const reset = (pair: Pair) => {
    pairs.delete(pair)
    for (const socket of [pair.client, pair.target]) if (!socket.destroyed) socket.resetAndDestroy()
  }
  const hold = ({ client, target }: Pair) => {
    client.pause()
    target.pause()
  }

  const server = createServer(accept)
  // It listens there again after `refuse`.
  const port = await listen(server, await freePort())
  const proxy: TcpProxy = {
    port,
    get connections() {
      return pairs.size
    },
    latency: (milliseconds) => void (delay = milliseconds),
    trickle: (milliseconds) => void (drip = milliseconds),
    blackHole() {
      hole = true
      pairs.forEach(hold)
    },
    cutAfter(bytes, direction = 'to-client') {
      cut = { bytes, direction }
      spent = new WeakMap()
      // What is over already does not wait for another byte.
      if (bytes === 0) proxy.resetAll()
    },
    async refuse() {
      if (server.listening) await close(server)
    },
    resetAll: () => pairs.forEach(reset),
    leadTo: (other) => void (targetPort = other),
    async heal() {
      delay = 0
      drip = 0
      hole = false
      cut = undefined
      for (const { client, target } of pairs) {
        client.resume()
        target.resume()
      }
      if (!server.listening) await listen(server, port)
    },
    async stop() {
      await proxy.refuse()
      proxy.resetAll()
    },
  }
  afterFile(() => proxy.stop())
  return proxy
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject)
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : 0)
    })
  })
}

/** Stops listening; open connections are none of its business. */
function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close()
    // "close" comes only after the last connection; the port is free at once.
    setImmediate(resolve)
  })
}
