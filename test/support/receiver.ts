import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterFile } from './after-file.ts'
import { waitFor } from './wait-for.ts'

/** A request that a receiver of webhooks got. */
export interface Received {
  path: string
  headers: Record<string, string>
  body: string
}

export type Answer = (response: ServerResponse, request: IncomingMessage) => void

export const withStatus =
  (status: number, headers: Record<string, string> = {}, body = ''): Answer =>
  (response) => {
    response.writeHead(status, headers).end(body)
  }
/** Never answers. */
export const hang: Answer = () => undefined

/** A server of webhooks, which answers as the test wants, by default with 204. */
export async function startReceiver(first: Answer = withStatus(204)) {
  const received: Received[] = []
  let answer = first
  const server = createServer((request, response) => {
    const keep = async (): Promise<void> => {
      const body = await text(request)
      const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]))
      received.push({ path: request.url ?? '', headers, body })
      answer(response, request)
    }
    // A sender may give up in the middle.
    keep().catch(() => undefined)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  afterFile(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return {
    port,
    url: `http://127.0.0.1:${port}/hook`,
    received,
    ids: () => received.map(({ headers }) => headers['webhook-id'] ?? ''),
    answer(next: Answer): void {
      answer = next
    },
    async count(least: number): Promise<Received[]> {
      await waitFor(`${least} webhooks`, () => received.length >= least)
      return received
    },
  }
}
