import express, { type RequestHandler } from 'express'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { helmetOf, securityHeaders } from '../../src/api/security-headers.ts'

const DIRECTIVES = { 'img-src': ["'self'", 'data:'], 'base-uri': ["'self'"], 'form-action': null }

async function headersBy(handler: RequestHandler): Promise<[string, string][]> {
  const app = express()
  app.disable('x-powered-by')
  app.use(handler, (_request, response) => void response.end())
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const { headers } = await fetch(`http://127.0.0.1:${port}/`)
  server.close()
  return [...headers].filter(([name]) => name !== 'date')
}

test('every response has the headers that helmet sets', async () => {
  const ours = await headersBy(securityHeaders(DIRECTIVES))
  expect(ours).toEqual(await headersBy(helmetOf(DIRECTIVES)))
  expect(ours.map(([name]) => name)).toContain('content-security-policy')
})
