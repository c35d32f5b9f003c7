import type { BrowserContextOptions, Page } from 'playwright-core'
import { expect, test } from 'vitest'
import { TEST_KEY } from '../support/start-service.ts'
import { DESKTOP, openStudio, PHONE, seriousButColours, seriousInBoth, tooWide } from '../support/studio-page.ts'
import { waitFor } from '../support/wait-for.ts'

/** The reference at /docs. No visit may ask another origin or violate the policy: `openStudio` watches that. */

const studio = openStudio()

const SUBMIT = '/docs#tag/jobs/submitJob'

const open = (path: string, options: BrowserContextOptions = {}): Promise<Page> =>
  studio.visit(path, { signedIn: false, ...options })

/** Waits until the heading of an operation is in the window. */
const shows = (page: Page, name: string): Promise<unknown> =>
  waitFor(`${name} in the window`, async () => {
    const box = await page.getByRole('heading', { name, exact: true }).first().boundingBox()
    return box !== null && box.y > 0 && box.y < DESKTOP.height
  })

/** Opens the dialog for requests of the first operation in the window. */
async function openDialog(page: Page): Promise<void> {
  await shows(page, 'Submit a job')
  await page
    .getByRole('button', { name: /^Test Request/ })
    .first()
    .click()
  await page.getByRole('button', { name: /^Send post request/ }).waitFor()
}

test('search finds an operation, whose address opens it again', async () => {
  const page = await open('/docs')
  await page.getByRole('button', { name: 'Search' }).click()
  await page.getByRole('combobox').fill('rotate key')
  await page
    .getByRole('option', { name: /Rotate a key/ })
    .first()
    .click()
  await shows(page, 'Rotate a key')
  expect(new URL(page.url()).hash).toBe('#tag/administration/rotateKey')
  await page.reload()
  await shows(page, 'Rotate a key')
})

test('samples name this service, are in three languages, and can be copied', async () => {
  const page = await open(SUBMIT)
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
  await shows(page, 'Submit a job')
  for (const [label, shown, language, text] of [
    ['curl', 'curl', 'Shell', `curl '${studio.service.url}/v1/jobs'`],
    ['TypeScript', 'curl', 'TypeScript', `baseUrl: '${studio.service.url}'`],
    ['Python', 'TypeScript', 'Python', `Client("${studio.service.url}"`],
  ] as const) {
    await page
      .getByRole('button', { name: `Change code sample language: ${shown}` })
      .first()
      .click()
    await page.getByRole('option', { name: label }).click()
    await page
      .getByRole('button', { name: `Copy ${language} code` })
      .first()
      .click()
    await waitFor(`${label} in the clipboard`, async () =>
      (await page.evaluate<string>('navigator.clipboard.readText()')).includes(text),
    )
  }
})

test('a trial request with a key makes a job, and a reload forgets the key', async () => {
  const page = await open(SUBMIT)
  await openDialog(page)
  await page.getByRole('dialog').getByLabel('Bearer Token').fill(TEST_KEY)
  const answered = page.waitForResponse((response) => response.request().method() === 'POST')
  await page.getByRole('button', { name: /^Send post request/ }).click()
  const answer = await answered
  expect([answer.status(), new URL(answer.url()).pathname]).toEqual([200, '/v1/jobs'])
  const { id } = (await answer.json()) as { id: string }
  expect(await studio.service.client.get(id)).toMatchObject({ preset: 'story-page', status: 'succeeded' })
  await page.getByRole('button', { name: 'Copy code' }).waitFor()
  expect(await seriousButColours(page)).toEqual([])

  const kept = await page.context().storageState({ indexedDB: true })
  expect(JSON.stringify(kept)).not.toContain(TEST_KEY)
  expect(await page.evaluate<string>('JSON.stringify(sessionStorage)')).not.toContain(TEST_KEY)
  await page.reload()
  await openDialog(page)
  expect(await page.getByRole('dialog').getByLabel('Bearer Token').inputValue()).toBe('')
})

for (const [name, options, look] of [
  ['desktop', { viewport: DESKTOP }, seriousInBoth],
  // Colours are the same there.
  ['phone', PHONE, seriousButColours],
] as const)
  test(`on a ${name} axe finds nothing serious, in the page and in the dialog`, async () => {
    const page = await open(SUBMIT, options)
    await shows(page, 'Submit a job')
    expect(await tooWide(page)).toBe(0)
    expect(await look(page)).toEqual([])
    await openDialog(page)
    expect(await look(page)).toEqual([])
  })

test('without scripts the page leads to one that needs none, and both lead back to Studio', async () => {
  const page = await open('/docs', { javaScriptEnabled: false })
  await page.getByRole('link', { name: 'works without it' }).click()
  await page.getByRole('heading', { name: 'genqueue API' }).waitFor()
  for (const path of ['/docs', '/docs/plain']) {
    await page.goto(path)
    expect(await page.getByRole('link', { name: 'Studio' }).getAttribute('href')).toBe('/')
    for (const kind of ['json', 'yaml'])
      expect((await page.request.get(`/openapi.${kind}`)).headers()['content-type']).toContain(kind)
  }
})
