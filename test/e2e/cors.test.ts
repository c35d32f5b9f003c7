import { readFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Job } from '../../src/client/types.ts'
import { finished } from '../support/finished.ts'
import { createOperator, type Operator } from '../support/operator.ts'
import { listenAsOrigin, otherOrigin } from '../support/other-origin.ts'
import { TEST_KEY } from '../support/start-service.ts'
import { openStudio } from '../support/studio-page.ts'

/** Cross-origin reads by a product's page, in a browser with web security on. */

const PAGE = '<!doctype html><title>a product</title><p>its page</p>'
const listed = await listenAsOrigin(PAGE)
const alsoListed = await listenAsOrigin(PAGE)
const studio = openStudio({ env: { CORS_ORIGINS: `${listed}, ${alsoListed}` } })

let operator: Operator
let job: Job
let token: string
beforeAll(async () => {
  operator = createOperator(studio.service)
  const { id } = await studio.service.client.submit({
    model: 'black-forest-labs/flux-schnell',
    input: { prompt: 'a bridge', aspect_ratio: '16:9', megapixels: '1' },
  })
  job = await finished(studio.service, id)
  token = await operator.tokenFor(TEST_KEY, id)
})

const pageOf = (origin: string): Promise<Page> =>
  studio.visit(origin, { baseURL: origin, knownOrigins: [studio.service.url] })

interface Read {
  status: number
  body: string
  headers: Record<string, string>
}

/** The response that a script of the page reads, or the name of the error when the browser blocks it. */
const read = (page: Page, path: string, init: object = {}): Promise<Read | string> =>
  page.evaluate<Read | string>(
    `fetch(${JSON.stringify(new URL(path, studio.service.url))}, ${JSON.stringify(init)}).then(
      async (answer) => ({ status: answer.status, body: await answer.text(), headers: Object.fromEntries(answer.headers) }),
      (error) => error.name,
    )`,
  )

/** The first event of a stream, or `refused`. */
const firstEvent = (page: Page, path: string): Promise<string> =>
  page.evaluate<string>(
    `new Promise((resolve) => {
      const events = new EventSource(${JSON.stringify(new URL(path, studio.service.url))})
      events.addEventListener('job', (event) => { events.close(); resolve(JSON.parse(event.data).id) })
      events.onerror = () => { events.close(); resolve('refused') }
    })`,
  )

const REFUSED = 'TypeError'
const bearer = (credential: string) => ({ headers: { authorization: `Bearer ${credential}` } })

describe('a page of a listed origin', () => {
  test('reads a job with its token, in the header and in the query, and follows it', async () => {
    const page = await pageOf(listed)
    for (const answer of [
      await read(page, `/v1/jobs/${job.id}`, bearer(token)),
      await read(page, `/v1/jobs/${job.id}?token=${token}`),
    ])
      expect(answer).toMatchObject({ status: 200, body: expect.stringContaining(job.id) })
    expect(await firstEvent(page, `/v1/jobs/${job.id}/events?token=${token}`)).toBe(job.id)
  })

  test('submits with its credentials, and reads the response headers', async () => {
    const page = await pageOf(listed)
    const init = {
      method: 'POST',
      headers: {
        authorization: `Bearer ${TEST_KEY}`,
        'content-type': 'application/json',
        'idempotency-key': 'from-a-page',
        prefer: 'wait=20',
      },
      body: JSON.stringify({ model: 'black-forest-labs/flux-schnell', input: { prompt: 'from a page' } }),
    }
    const first = await read(page, '/v1/jobs', init)
    const again = await read(page, '/v1/jobs', init)
    expect(first).toMatchObject({ status: 200, headers: { location: expect.stringContaining('/v1/jobs/job_') } })
    expect(again).toMatchObject({ headers: { 'idempotent-replayed': 'true', 'preference-applied': 'wait=20' } })
  })

  test('reads errors: 401, 404, 405, 422 and 429', async () => {
    const page = await pageOf(listed)
    const cases: [path: string, init: object, status: number][] = [
      ['/v1/jobs', {}, 401],
      [`/v1/jobs/job_${'0'.repeat(26)}`, bearer(token), 404],
      ['/v1/nothing', {}, 404],
      [`/v1/jobs/${job.id}`, { method: 'DELETE', ...bearer('wrong') }, 401],
      ['/v1/jobs?limit=0', bearer(TEST_KEY), 422],
    ]
    for (const [path, init, status] of cases) {
      const answer = await read(page, path, init)
      expect([path, answer]).toEqual([path, expect.objectContaining({ status })])
    }
    const { key } = await operator.newKey(await operator.newTenant({ requests_per_minute: 1 }))
    await read(page, '/v1/jobs', bearer(key))
    const limited = await read(page, '/v1/jobs', bearer(key))
    expect(limited).toMatchObject({ status: 429, headers: { 'retry-after': expect.stringMatching(/^\d+$/) } })
  })

  test('reads, shows and saves a file by its link', async () => {
    const page = await pageOf(listed)
    const [artifact] = job.artifacts
    const whole = await read(page, artifact?.url ?? '')
    expect(whole).toMatchObject({
      status: 200,
      headers: { 'content-disposition': `inline; filename="${artifact?.name}"`, etag: `"${artifact?.sha256}"` },
    })
    expect(await read(page, artifact?.url ?? '', { headers: { range: 'bytes=0-9' } })).toMatchObject({
      status: 206,
      headers: { 'content-range': `bytes 0-9/${artifact?.bytes}` },
    })
    const saved = page.waitForEvent('download')
    await page.evaluate(`{
      const link = document.createElement('a')
      link.href = ${JSON.stringify(`${artifact?.url}&download=1`)}
      document.body.append(link)
      link.click()
    }`)
    const download = await saved
    expect(download.suggestedFilename()).toBe(artifact?.name)
    expect((await readFile(await download.path())).byteLength).toBe(artifact?.bytes)
  })

  test('uses no session of the browser, and sees neither sign-in nor administration', async () => {
    const page = await pageOf(listed)
    // On the same site, so the browser would send the cookie.
    await page.context().addCookies([await sessionCookie()])
    expect(await read(page, '/v1/jobs', { credentials: 'include' })).toBe(REFUSED)
    expect(await read(page, '/v1/jobs')).toMatchObject({ status: 401 })
    expect(await read(page, '/v1/session', bearer(TEST_KEY))).toBe(REFUSED)
    expect(await read(page, '/v1/admin/tenants', bearer(TEST_KEY))).toBe(REFUSED)
    // Nor by loading without reading, where the browser would send the cookie.
    const { cookie = '' } = await operator.sessionOf(TEST_KEY)
    const loaded = async (site: string) => {
      const answer = await fetch(`${studio.service.url}/v1/jobs`, { headers: { cookie, 'sec-fetch-site': site } })
      await answer.body?.cancel()
      return answer.status
    }
    expect([await loaded('same-origin'), await loaded('none')]).toEqual([200, 200])
    expect([await loaded('same-site'), await loaded('cross-site')]).toEqual([403, 403])
  })

  test('that a tenant’s own list lacks gets an error, by request, stream and file', async () => {
    const tenant = await operator.newTenant()
    const { key } = await operator.newKey(tenant)
    const id = await operator.submit(key, { model: 'black-forest-labs/flux-schnell', input: { prompt: 'narrow' } })
    const { artifacts } = await operator.finished(key, id)
    const own = await operator.tokenFor(key, id)
    const allow = (cors_origins: string[] | null) =>
      operator.ask(`/v1/admin/tenants/${tenant}`, { body: { cors_origins } })
    const paths = [`/v1/jobs/${id}?token=${own}`, artifacts[0]?.url ?? '']
    const statuses = async (page: Page) => {
      const answers = await Promise.all(paths.map((path) => read(page, path, { cache: 'no-store' })))
      const events = await firstEvent(page, `/v1/jobs/${id}/events?token=${own}`)
      return [...answers.map((answer) => (typeof answer === 'string' ? answer : answer.status)), events]
    }
    const [first, second] = [await pageOf(listed), await pageOf(alsoListed)]
    expect((await allow([alsoListed])).status).toBe(200)
    expect(await statuses(first)).toEqual([403, 403, 'refused'])
    expect(await read(first, paths[0] ?? '')).toMatchObject({ body: expect.stringContaining('origin_not_allowed') })
    expect(await statuses(second)).toEqual([200, 200, id])
    await allow([])
    expect(await statuses(second)).toEqual([403, 403, 'refused'])
    await allow(null)
    expect(await statuses(first)).toEqual([200, 200, id])
    for (const wrong of ['*', 'https://app.example.com/', 'null'])
      expect((await allow([wrong])).body).toMatchObject({ code: 'invalid_request' })
  })
})

test('a page of an origin that is not listed reads nothing, but follows links to files', async () => {
  const page = await pageOf(await otherOrigin(PAGE))
  const [artifact] = job.artifacts
  expect(await read(page, `/v1/jobs/${job.id}`, bearer(token))).toBe(REFUSED)
  expect(await read(page, `/v1/jobs/${job.id}?token=${token}`)).toBe(REFUSED)
  expect(await read(page, artifact?.url ?? '')).toBe(REFUSED)
  expect(await firstEvent(page, `/v1/jobs/${job.id}/events?token=${token}`)).toBe('refused')
  const width = await page.evaluate<number>(
    `new Promise((resolve) => {
      const image = new Image()
      image.onload = () => resolve(image.naturalWidth)
      image.onerror = () => resolve(0)
      image.src = ${JSON.stringify(artifact?.url)}
    })`,
  )
  expect(width).toBe(artifact?.width)
})

test('every response varies by origin, for caches in between', async () => {
  const [artifact] = job.artifacts
  for (const [path, headers, status] of [
    [`/v1/jobs/${job.id}`, { authorization: `Bearer ${TEST_KEY}` }, 200],
    ['/v1/jobs', {}, 401],
    ['/v1/nothing', {}, 404],
    [artifact?.url ?? '', { 'if-none-match': '*' }, 304],
    [`/v1/jobs/${job.id}/events?token=${token}`, {}, 200],
  ] as const)
    for (const origin of [listed, 'https://elsewhere.example', undefined]) {
      const answer = await fetch(new URL(path, studio.service.url), {
        headers: { ...headers, ...(origin ? { origin } : {}) },
      })
      await answer.body?.cancel()
      const allowed = answer.headers.get('access-control-allow-origin')
      expect([path, answer.status, allowed]).toEqual([path, status, origin === listed ? listed : null])
      expect(answer.headers.get('vary')?.split(/, */)).toContain('Origin')
      expect(answer.headers.get('access-control-allow-credentials')).toBeNull()
    }
})

async function sessionCookie() {
  const { cookie } = await operator.sessionOf(TEST_KEY)
  const [name = '', value = ''] = (cookie ?? '').split(/=(.*)/s)
  return { name, value, url: studio.service.url, sameSite: 'Strict' as const, httpOnly: true }
}
