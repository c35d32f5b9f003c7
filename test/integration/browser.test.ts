import { createServer } from 'node:http'

import { describe, expect, it, onTestFinished } from 'vitest'

import { launchBrowser, onThisMachine } from '../support/browser.ts'
import { freePort } from '../support/free-port.ts'

const page = '<!doctype html><title>page</title><h1>Hello</h1><script>document.title = `ready ${innerWidth}`</script>'

/** The one from npm exists for one platform; elsewhere the tests need a browser of the machine's. */
const npmHasOne = process.platform === 'linux' && process.arch === 'x64'
const sources = [
  ...(onThisMachine().length > 0 || !npmHasOne ? (['machine'] as const) : []),
  ...(npmHasOne ? (['npm'] as const) : []),
]

describe('the browser for tests', () => {
  it.each(sources)('shows and runs a page (from: %s)', async (from) => {
    const server = createServer((_request, response) => response.setHeader('content-type', 'text/html').end(page))
    const port = await freePort()
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())

    const browser = await launchBrowser({ from })
    const tab = await browser.newPage({ viewport: { width: 800, height: 600 } })
    await tab.goto(`http://127.0.0.1:${port}/`)
    expect(await tab.title()).toBe('ready 800')
    expect(await tab.locator('h1').textContent()).toBe('Hello')
    expect((await tab.screenshot()).byteLength).toBeGreaterThan(1_000)
    await browser.close()
  })
})
