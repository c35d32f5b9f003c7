import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { createReplicateRelay } from '../../src/shared/replicate/replicate-relay.ts'

async function serve(listener: RequestListener): Promise<number> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

test('a redirect of a read is not followed', async () => {
  let asked = 0
  const inside = await serve((_request, response) => {
    asked++
    response.end('{}')
  })
  const port = await serve((_request, response) => {
    response.writeHead(302, { location: `http://127.0.0.1:${inside}/` }).end()
  })
  const baseUrl = `http://127.0.0.1:${port}/v1`
  const relay = createReplicateRelay({ token: 'test', baseUrl, connectTimeout: 5000, readTimeout: 5000 })
  onTestFinished(() => relay.close())
  await expect(relay.read({ method: 'GET', path: '/models' })).rejects.toThrow('fetch failed')
  expect(asked).toBe(0)
})
