import { type Socket, connect, createServer } from 'node:net'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { startTcpProxy } from '../support/tcp-proxy.ts'
import { waitFor } from '../support/wait-for.ts'

describe('the TCP fault proxy', () => {
  const echo = createServer((socket) => socket.on('error', () => {}).pipe(socket))
  const sockets: Socket[] = []
  let target = 0
  beforeAll(async () => {
    await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve))
    const address = echo.address()
    target = typeof address === 'object' && address !== null ? address.port : 0
  })
  afterAll(() => {
    for (const socket of sockets) socket.destroy()
    echo.close()
  })

  /** A talk with the echo server: what came back so far, and how it ended. */
  const talk = (port: number) => {
    const seen = { text: '', end: '' }
    const socket = connect({ host: '127.0.0.1', port })
    sockets.push(socket)
    socket.setEncoding('utf8').on('data', (text: string) => (seen.text += text))
    socket.on('error', (error) => (seen.end = 'code' in error ? String(error.code) : error.message))
    socket.on('close', () => (seen.end ||= 'closed'))
    return {
      seen,
      say: (text: string) => socket.write(text),
      hears: (text: string) => waitFor(`an echo of ${text}`, () => seen.text === text),
      ends: () => waitFor('the end of the connection', () => seen.end || undefined),
    }
  }

  it('forwards data, with a delay when set', async () => {
    const proxy = await startTcpProxy({ port: target })
    const one = talk(proxy.port)
    one.say('hello')
    await one.hears('hello')
    proxy.latency(80)
    const begun = performance.now()
    one.say(' again')
    await one.hears('hello again')
    expect(performance.now() - begun).toBeGreaterThan(155)
    await proxy.stop()
    expect(await one.ends()).toBe('ECONNRESET')
  })

  it('holds everything back in a black hole, and delivers after it', async () => {
    const proxy = await startTcpProxy({ port: target })
    const one = talk(proxy.port)
    one.say('a')
    await one.hears('a')
    proxy.blackHole()
    one.say('b')
    const two = talk(proxy.port)
    two.say('c')
    const direct = talk(target)
    direct.say('d')
    await direct.hears('d')
    expect([one.seen.text, two.seen.text]).toEqual(['a', ''])
    await proxy.heal()
    await one.hears('ab')
    await two.hears('c')
  })

  it('lets what comes back trickle', async () => {
    const proxy = await startTcpProxy({ port: target })
    const one = talk(proxy.port)
    proxy.trickle(30)
    const begun = performance.now()
    one.say('slow')
    await one.hears('slow')
    expect(performance.now() - begun).toBeGreaterThan(85)
    await proxy.heal()
    one.say('er')
    await one.hears('slower')
  })

  it.each(['to-client', 'to-target'] as const)('cuts after some bytes %s', async (direction) => {
    const proxy = await startTcpProxy({ port: target })
    const one = talk(proxy.port)
    proxy.cutAfter(4, direction)
    one.say('abc')
    await one.hears('abc')
    one.say('defghi')
    expect(await one.ends()).toBe('ECONNRESET')
    expect('abcd').toContain(one.seen.text)
    await proxy.heal()
    const two = talk(proxy.port)
    two.say('longer than four')
    await two.hears('longer than four')
  })

  it('refuses new connections, keeps the open ones, and comes back on the same port', async () => {
    const proxy = await startTcpProxy({ port: target })
    const one = talk(proxy.port)
    one.say('a')
    await one.hears('a')
    await proxy.refuse()
    expect(await talk(proxy.port).ends()).toBe('ECONNREFUSED')
    one.say('b')
    await one.hears('ab')
    await proxy.heal()
    const two = talk(proxy.port)
    two.say('c')
    await two.hears('c')
    proxy.resetAll()
    expect(await one.ends()).toBe('ECONNRESET')
    expect(await two.ends()).toBe('ECONNRESET')
  })
})
