import { createServer } from 'node:http'
import express from 'express'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { expressProxy } from '../../src/client/proxy.ts'
import type { Job } from '../../src/client/types.ts'
import { damagedPhoto } from '../simulator/support/media.ts'
import { clientPage } from '../support/client-page.ts'
import { freePort } from '../support/free-port.ts'
import { TEST_KEY } from '../support/start-service.ts'
import { openStudio, seesPicture } from '../support/studio-page.ts'

/** A product's page with the client and its hooks, in a browser with web security on: of another origin, and by the proxy. */

const port = await freePort()
const origin = `http://127.0.0.1:${port}`
const studio = openStudio({ env: { CORS_ORIGINS: origin } })

let photo: string
beforeAll(async () => {
  photo = (await damagedPhoto()).toString('base64')
  const html = await clientPage()
  const app = express()
  app.use(
    '/api/genqueue',
    expressProxy({
      baseUrl: studio.service.url,
      key: TEST_KEY,
      authorize: ({ headers }) => {
        const [, user] = /user=(\w+)/.exec(headers['cookie']?.toString() ?? '') ?? []
        return user === undefined ? null : { user, presets: ['restore-image', 'story-page'] }
      },
    }),
  )
  app.get('/', (_request, response) => void response.type('html').send(html))
  const server = createServer(app)
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  afterAll(() => {
    server.closeAllConnections()
    server.close()
  })
})

async function visit(user?: string): Promise<Page> {
  const page = await studio.visit(origin, { baseURL: origin, signedIn: false, knownOrigins: [studio.service.url] })
  if (user !== undefined) await page.context().addCookies([{ name: 'user', value: user, url: origin }])
  return page
}

const show = (page: Page, what: 'job' | 'batch', id: string, how?: object): Promise<void> =>
  page.evaluate(`product.show(${JSON.stringify(what)}, ${JSON.stringify(id)}, ${JSON.stringify(how)})`)

const submitted = (prompt: string): Promise<Job> =>
  studio.service.client.submit({ preset: 'story-page', input: { prompt } })

test('useJob and useBatch follow with a token, from another origin', async () => {
  const { client, url: baseUrl } = studio.service
  const page = await visit()
  const { id } = await submitted('a fox at another origin')
  const { token } = await client.jobToken(id)
  await show(page, 'job', id, { token, baseUrl })
  await page.locator('#job[data-connection=idle]', { hasText: 'succeeded' }).waitFor()
  await seesPicture(page.locator('img'))
  expect(await page.locator('img').getAttribute('src')).toMatch(new RegExp(`^${baseUrl}/v1/artifacts/`))

  const batch = await client.batch({ preset: 'story-page', items: [{ input: { prompt: 'one' } }] })
  await show(page, 'batch', batch.id, { token: (await client.batchToken(batch.id)).token, baseUrl })
  await page.locator('#batch', { hasText: 'succeeded 1' }).waitFor()

  await show(page, 'job', id, { token: 'wrong', baseUrl })
  await page.locator('#job[data-connection=idle]', { hasText: 'unauthenticated' }).waitFor()
})

test('a page sends a file and follows its job through the proxy, without a key', async () => {
  const page = await visit('zoe')
  const id = await page.evaluate<string>(`(async () => {
    const bytes = Uint8Array.from(atob(${JSON.stringify(photo)}), (one) => one.charCodeAt(0))
    const file = new File([bytes], 'photo.png', { type: 'image/png' })
    return (await product.proxied.submit({ preset: 'restore-image', input: { input_image: file } })).id
  })()`)
  await show(page, 'job', id)
  await page.locator('#job[data-connection=idle]', { hasText: 'succeeded' }).waitFor()
  await seesPicture(page.locator('img'))
  expect(await page.locator('img').getAttribute('src')).toMatch(/^\/api\/genqueue\/v1\/artifacts\//)
  expect(await studio.service.client.get(id)).toMatchObject({ user: 'zoe', preset: 'restore-image' })
  expect(await page.evaluate(`product.proxied.list().then(({ data }) => data.map(({ id }) => id))`)).toEqual([id])

  const stranger = await visit('ada')
  await show(stranger, 'job', id)
  await stranger.locator('#job', { hasText: 'not_found' }).waitFor()
  const nobody = await visit()
  await show(nobody, 'job', id)
  await nobody.locator('#job', { hasText: 'unauthenticated' }).waitFor()
})

test('a hook closes its stream when its component leaves, in strict mode too', async () => {
  const page = await visit('zoe')
  await studio.service.simulator.faults({ predictions: { starting_forever: { next: 1 } } })
  const { id } = await studio.service.client.submit({ preset: 'story-page', input: { prompt: 'never' }, user: 'zoe' })
  await show(page, 'job', id)
  await page.locator('#job[data-connection=open]', { hasText: 'starting' }).waitFor()
  const open = () => page.evaluate<number>('product.streams.filter(({ aborted }) => !aborted).length')
  expect(await open()).toBe(1)
  await page.evaluate('product.leave()')
  expect(await open()).toBe(0)
  await studio.service.client.cancel(id)
})
