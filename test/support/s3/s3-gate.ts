import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterFile } from '../after-file.ts'
import type { S3Server } from './s3-server.ts'

/** What a gate does to uploads; everything else passes. May be changed while it runs. */
export interface GateActs {
  /** Answers in the server's place; null lets the upload pass. */
  answer?: (() => { status: number; body: string } | null) | undefined
  /** What arrives in place of these bytes. */
  spoil?: ((chunk: Buffer) => Buffer) | undefined
  /** Number of bytes after which an upload stalls until its sender disconnects. */
  holdAfter?: number | undefined
  /** Number of bytes after which an upload is reset. */
  resetAfter?: number | undefined
}

export interface S3Gate {
  endpoint: string
  acts: GateActs
  /** Uploads that stood still, and that were reset, so far. */
  held: number
  reset: number
}

/** The answer of a bucket that is asked too often. */
export const SLOW_DOWN = {
  status: 503,
  body: '<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>',
}

/** An HTTP proxy before an S3 server that may answer by itself, spoil what passes, or stop in the middle. */
export async function startS3Gate({ port }: Pick<S3Server, 'port'>, acts: GateActs = {}): Promise<S3Gate> {
  const server = createServer((incoming, outgoing) => {
    const { method, url: path, headers } = incoming
    const isUpload = method === 'PUT'
    const own = isUpload ? gate.acts.answer?.() : null
    if (own) {
      incoming.resume()
      outgoing.writeHead(own.status, { 'content-type': 'application/xml' }).end(own.body)
      return
    }
    const onward = request({ port, host: '127.0.0.1', method, path, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers)
      answer.pipe(outgoing)
    })
    onward.on('error', () => outgoing.destroy())
    let passed = 0
    incoming.on('data', (chunk: Buffer) => {
      const { spoil, holdAfter = Infinity, resetAfter = Infinity } = isUpload ? gate.acts : {}
      const passes = chunk.subarray(0, Math.min(holdAfter, resetAfter) - passed)
      passed += passes.length
      onward.write(spoil?.(passes) ?? passes)
      if (passed >= resetAfter) {
        gate.reset++
        onward.destroy()
        incoming.socket.resetAndDestroy()
      } else if (passed >= holdAfter) {
        gate.held++
        incoming.pause()
      }
    })
    incoming.on('end', () => onward.end())
    incoming.on('close', () => {
      if (!incoming.complete) onward.destroy()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  afterFile(() => {
    server.closeAllConnections()
    server.close()
  })
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const gate: S3Gate = { endpoint, acts, held: 0, reset: 0 }
  return gate
}
