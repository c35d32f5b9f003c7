import { mkdir } from 'node:fs/promises'
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { z } from 'zod'
import { freePort } from '../../src/shared/redis/redis-process.ts'
import { type Run, untilReady } from './processes.ts'

/** The other side: genqueue's simulator of Replicate, and a proxy in front of it that loses responses. */

const ROOT = join(import.meta.dirname, '../..')

export interface Simulator {
  url: string
  /** The version of `replicate/hello-world`: runs of 10 to 100 ms, text, no files. */
  model: string
  /** Forgets all predictions. */
  reset(): Promise<void>
  faults(faults: object): Promise<void>
}

export async function startSimulator(run: Run, folder: string): Promise<Simulator> {
  await mkdir(folder, { recursive: true })
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const budget = ['--creates-per-minute', '6000000', '--reads-per-minute', '6000000']
  const args = [join(ROOT, 'src/simulator/main.ts'), '--port', String(port), ...budget]
  const { PATH = '' } = process.env
  const options = {
    cwd: folder,
    env: { PATH, HOME: folder, NODE_ENV: 'production' },
    log: join(folder, 'simulator.log'),
  }
  const child = run.spawn(process.execPath, args, options)
  await untilReady('The simulator', child.ended, async () => (await fetch(`${url}/_sim/books`)).ok)

  const headers = { authorization: 'Bearer any', 'content-type': 'application/json' }
  const response = await fetch(`${url}/v1/models/replicate/hello-world`, { headers })
  const { latest_version } = z.object({ latest_version: z.object({ id: z.string() }) }).parse(await response.json())
  const post = async (path: string, body: object): Promise<void> => {
    const { ok, status } = await fetch(`${url}/_sim/${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
    if (!ok) throw new Error(`The simulator returned ${status} for /_sim/${path}.`)
  }
  return { url, model: latest_version.id, reset: () => post('reset', {}), faults: (faults) => post('faults', faults) }
}

/** What the proxy does with the response of a job's first create, when the prediction exists upstream already. */
export type Loss = 'none' | 'cut' | 'hold'

export interface LossyProxy {
  url: string
  lose(loss: Loss): void
  /** Responses that are held back. */
  readonly held: number
  /** Delivers what was held back. */
  release(): void
  /** Predictions that were made for this text. */
  predictions(text: string): number
  stop(): void
}

/** A job is known by its `input.text`, which every peer passes on unchanged. */
const createSchema = z.object({ input: z.object({ text: z.string() }) })

export async function startLossyProxy(target: string): Promise<LossyProxy> {
  const made = new Map<string, number>()
  const asked = new Set<string>()
  const held: (() => void)[] = []
  let loss: Loss = 'none'

  const pass = (response: ServerResponse, upstream: IncomingMessage, body: Buffer): void => {
    if (response.destroyed) return
    response.writeHead(upstream.statusCode ?? 502, upstream.headers).end(body)
  }
  const forward = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await bytesOf(request)
    const isCreate = request.method === 'POST' && request.url?.endsWith('/predictions') === true
    const text = isCreate ? createSchema.parse(JSON.parse(body.toString())).input.text : undefined
    const isLost = text !== undefined && !asked.has(text) && loss !== 'none'
    if (text !== undefined) asked.add(text)

    const upstream = await new Promise<IncomingMessage>((resolve, reject) => {
      const { method = 'GET', headers, url = '/' } = request
      httpRequest(new URL(url, target), { method, headers }, resolve).on('error', reject).end(body)
    })
    const answer = await bytesOf(upstream)
    if (text !== undefined && upstream.statusCode === 201) made.set(text, (made.get(text) ?? 0) + 1)
    if (!isLost) pass(response, upstream, answer)
    else if (loss === 'cut') request.socket.resetAndDestroy()
    else held.push(() => pass(response, upstream, answer))
  }

  const server = createServer((request, response) => {
    forward(request, response).catch(() => request.socket.destroy())
  })
  const port = await freePort()
  await new Promise<void>((resolve) => void server.listen(port, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${port}`,
    lose: (next) => void (loss = next),
    get held() {
      return held.length
    },
    release() {
      for (const deliver of held.splice(0)) deliver()
    },
    predictions: (text) => made.get(text) ?? 0,
    stop() {
      server.close()
      server.closeAllConnections()
    },
  }
}

async function bytesOf(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(z.instanceof(Buffer).parse(chunk))
  return Buffer.concat(chunks)
}
