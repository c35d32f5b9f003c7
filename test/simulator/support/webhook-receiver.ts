import { createServer, type IncomingHttpHeaders } from 'node:http'
import { onTestFinished } from 'vitest'
import { waitFor } from '../../support/wait-for.ts'
import type { Body } from './simulator.ts'

export interface Received {
  at: number
  path: string
  headers: IncomingHttpHeaders
  raw: string
  body: Body
}

export interface WebhookReceiver {
  url: string
  received: Received[]
  /** Status of the next responses to webhooks. */
  answer: { status: number; headers?: Record<string, string> }
  /** Resolves with the first matching webhook, received already or later. */
  next: (fits: (one: Received) => boolean) => Promise<Received>
  completed: (id?: string) => Promise<Received>
}

export const isOver = ({ body }: Received) => body.completed_at !== undefined

export async function webhookReceiver(): Promise<WebhookReceiver> {
  const received: Received[] = []
  const receiver: WebhookReceiver = {
    url: '',
    received,
    answer: { status: 200 },
    next: (fits) => waitFor('a webhook', () => received.find(fits)),
    completed: (id) => receiver.next((one) => isOver(one) && (id === undefined || one.body.id === id)),
  }
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const raw = Buffer.concat(chunks).toString()
      received.push({ at: Date.now(), path: request.url ?? '', headers: request.headers, raw, body: JSON.parse(raw) })
      response.writeHead(receiver.answer.status, receiver.answer.headers).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the receiver has no port')
  receiver.url = `http://127.0.0.1:${address.port}/hook?job=job_1&token=a%2Bb`
  return receiver
}
