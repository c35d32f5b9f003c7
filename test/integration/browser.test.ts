import { createServer, type Server } from 'node:http'

import { describe, expect, it, onTestFinished } from 'vitest'

import { launchBrowser, onThisMachine } from '../support/browser.ts'
import { freePort } from '../support/free-port.ts'
import { PATIENCE_MS } from '../support/wait-for.ts'

/** With characters that few fonts have: a browser that finds no font at all ends at them. */
const page =
  '<!doctype html><meta charset="utf-8"><title>page</title><h1>Hello</h1><p>… → 漢字 ✓ \u{1F98A}</p>' +
  '<script>document.title = `ready ${innerWidth}`</script>'

/** The one from npm exists for one platform; elsewhere the tests need a browser of the machine's. */
const npmHasOne = process.platform === 'linux' && process.arch === 'x64'
const sources = [
  ...(onThisMachine().length > 0 || !npmHasOne ? (['machine'] as const) : []),
  ...(npmHasOne ? (['npm'] as const) : []),
]

async function listen(server: Server): Promise<number> {
  const port = await freePort()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return port
}

describe('the browser for tests', () => {
  it.each(sources)('shows and runs a page (from: %s)', async (from) => {
    const server = createServer((_request, response) => response.setHeader('content-type', 'text/html').end(page))
    const port = await listen(server)

    const browser = await launchBrowser({ from })
    const tab = await browser.newPage({ viewport: { width: 800, height: 600 } })
    tab.setDefaultTimeout(PATIENCE_MS)
    await tab.goto(`http://127.0.0.1:${port}/`)
    expect(await tab.title()).toBe('ready 800')
    expect(await tab.locator('h1').textContent()).toBe('Hello')
    expect((await tab.screenshot()).byteLength).toBeGreaterThan(1_000)
    await browser.close()
  })

  it.each(sources)('keeps origins apart, as the browsers of people do (from: %s)', async (from) => {
    const closed = createServer((_request, response) => response.end('a secret'))
    const open = createServer((_request, response) =>
      response.setHeader('access-control-allow-origin', '*').end('for everyone'),
    )
    const [closedPort, openPort] = await Promise.all([listen(closed), listen(open)])
    const browser = await launchBrowser({ from })
    const tab = await browser.newPage()
    tab.setDefaultTimeout(PATIENCE_MS)
    const read = (port: number): Promise<string> =>
      tab.evaluate<string>(`fetch('http://127.0.0.1:${port}/').then((answer) => answer.text(), (error) => error.name)`)
    await tab.goto(`http://127.0.0.1:${closedPort}/`)
    expect(await read(openPort)).toBe('for everyone')
    await tab.goto(`http://127.0.0.1:${openPort}/`)
    expect(await read(closedPort)).toBe('TypeError')
    await browser.close()
  })
})
