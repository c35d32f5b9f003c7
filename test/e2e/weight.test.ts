import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { finished } from '../support/finished.ts'
import { createOperator } from '../support/operator.ts'
import { TEST_KEY } from '../support/start-service.ts'
import { HELLO, openStudio } from '../support/studio-page.ts'
import { waitFor } from '../support/wait-for.ts'

/** Bytes and requests on the wire. */

const studio = openStudio()
const MANY = 12

async function someJobs(): Promise<string> {
  const ids: string[] = []
  for (let i = 0; i < MANY; i++)
    ids.push((await studio.service.client.submit({ version: HELLO, input: { text: `a page of a book, ${i}` } })).id)
  await Promise.all(ids.map((id) => finished(studio.service, id)))
  return ids[0] ?? ''
}

test('a first visit reads the list once, and scripts and styles arrive compressed', async () => {
  await someJobs()
  const page = await studio.visit('/livez')
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('Network.enable')
  const lists: string[] = []
  const sizes = new Map<string, number>()
  page.on('request', (request) => {
    if (new URL(request.url()).pathname === '/v1/jobs') lists.push(request.url())
  })
  const paths = new Map<string, string>()
  cdp.on('Network.responseReceived', ({ requestId, response }) => paths.set(requestId, new URL(response.url).pathname))
  cdp.on('Network.loadingFinished', ({ requestId, encodedDataLength }) =>
    sizes.set(paths.get(requestId) ?? '', encodedDataLength),
  )
  await page.goto('/')
  await page
    .getByRole('listitem')
    .filter({ hasText: 'a page of a book' })
    .nth(MANY - 1)
    .waitFor()
  await page.getByText('Live', { exact: true }).waitFor()
  expect(lists).toHaveLength(1)

  const sizeOf = (ending: string): number =>
    Math.max(...[...sizes].filter(([path]) => path.endsWith(ending)).map(([, bytes]) => bytes))
  // 445 kB and 39 kB uncompressed.
  expect(sizeOf('.js')).toBeLessThan(118_500)
  expect(sizeOf('.css')).toBeLessThan(12_000)
})

test('the first paint waits for less than 60 kB, and all scripts are less than 150 kB', async () => {
  const page = await studio.visit('/livez')
  let release = (): void => undefined
  const held = new Promise<void>((resolve) => (release = resolve))
  await page.route('**/*.js', async (route) => {
    if (route.request().url().includes('/index-')) await held
    await route.continue()
  })
  await page.goto('/', { waitUntil: 'commit' })
  await page.getByText('genqueue', { exact: true }).waitFor()
  const painted = await waitFor('the first paint', () =>
    page.evaluate<string[]>(`performance.getEntriesByName('first-contentful-paint').length > 0 &&
      [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')].map(({ name }) => name)`),
  )
  expect(await gzipped(painted)).toBeLessThan(60_000)
  release()
  await page.getByRole('heading', { level: 1, name: 'Runs' }).waitFor()
  const scripts = await page.evaluate<string[]>(
    `performance.getEntriesByType('resource').map(({ name }) => name).filter((name) => name.endsWith('.js'))`,
  )
  // The page's script, and the one that sets the theme.
  expect(scripts).toHaveLength(2)
  expect(await gzipped(scripts)).toBeLessThan(150_000)
})

/** Bytes of these files together, compressed with gzip. */
async function gzipped(urls: readonly string[]): Promise<number> {
  const sizes = await Promise.all(
    urls.map(async (url) => gzipSync(Buffer.from(await (await fetch(url)).arrayBuffer())).length),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}

describe('a response', () => {
  /** Its content encoding and content length. */
  async function sent(path: string, takes = 'gzip, br'): Promise<[encoding: string | null, vary: string]> {
    const answer = await fetch(studio.service.url + path, {
      headers: { authorization: `Bearer ${TEST_KEY}`, 'accept-encoding': takes },
    })
    expect([path, answer.ok]).toEqual([path, true])
    await answer.body?.cancel()
    return [answer.headers.get('content-encoding'), answer.headers.get('vary') ?? '']
  }

  test('in JSON or HTML is compressed for clients that accept it', async () => {
    await someJobs()
    for (const path of ['/v1/jobs?limit=60', '/openapi.json', '/docs', '/v1/presets']) {
      expect([path, ...(await sent(path))]).toEqual([path, 'br', expect.stringContaining('Accept-Encoding')])
      expect((await sent(path, 'gzip'))[0]).toBe('gzip')
      expect((await sent(path, 'identity'))[0]).toBeNull()
    }
  })

  test('that is a stream, a stored file, or has a secret is not compressed', async () => {
    const operator = createOperator(studio.service)
    const id = await someJobs()
    expect((await sent(`/v1/jobs/${id}/events`))[0]).toBeNull()
    expect((await sent('/v1/session'))[0]).toBeNull()
    const tenant = await operator.newTenant()
    for (let i = 0; i < 5; i++) await operator.newKey(tenant, { title: 'x'.repeat(100) })
    expect((await sent(`/v1/admin/tenants/${tenant}/keys`))[0]).toBeNull()

    const form = new FormData()
    const text = JSON.stringify({ words: 'again and again '.repeat(1000) })
    form.set('file', new Blob([text], { type: 'application/json' }), 'long.json')
    const made = await fetch(`${studio.service.url}/v1/uploads`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TEST_KEY}` },
      body: form,
    })
    const { url } = (await made.json()) as { url: string }
    const file = await fetch(studio.service.url + url, { headers: { authorization: `Bearer ${TEST_KEY}` } })
    expect(file.headers.get('content-encoding')).toBeNull()
    expect(file.headers.get('content-length')).toBe(String(text.length))
    expect(await file.text()).toBe(text)
  })
})
