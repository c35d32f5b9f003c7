import type { Locator, Page } from 'playwright-core'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Batch, Job } from '../../src/client/types.ts'
import { finished } from '../support/finished.ts'
import {
  DESKTOP,
  HELLO,
  openStudio,
  PHONE,
  runIn,
  seesPicture,
  serious,
  seriousButColours,
  seriousInBoth,
  status,
  tile,
  tooWide,
} from '../support/studio-page.ts'

/** Properties of every page: both themes, keyboard, connection loss, phone. */

const studio = openStudio()
const { visit } = studio

const LONG_WORD = 'A very long word: ' + 'lighthouse'.repeat(20)

let picture: Job
let failed: Job
let batch: Batch

beforeAll(async () => {
  const { service } = studio
  const { client } = service
  const model = 'black-forest-labs/flux-schnell'
  await service.simulator.faults({ predictions: { fail: { next: 1, error: 'The film tore' } } })
  failed = await client.submit({ model, input: { prompt: 'Rain' } })
  await finished(service, failed.id)
  // More runs than fit on a screen.
  for (let at = 0; at < 14; at++) await client.submit({ version: HELLO, input: { text: `number ${at}` } })
  picture = await client.submit({ model, input: { prompt: LONG_WORD, megapixels: '0.25' }, metadata: { page: 1 } })
  batch = await client.batch({
    defaults: { version: HELLO },
    items: [{ input: { text: 'one' } }, { input: { text: 'two' } }],
  })
  await finished(service, picture.id)
})

/** The element that shows that a page is loaded. */
const PAGES: [name: string, path: () => string, there: (page: Page) => Locator][] = [
  ['the sheet', () => '/', (page) => tile(page, LONG_WORD).getByRole('img')],
  ['an empty sheet', () => '/?status=canceled', (page) => page.getByText('No canceled runs')],
  ['the form alone', () => '/new', (page) => page.getByText('Price of a run')],
  ['a run', () => `/runs/${picture.id}`, (page) => page.getByRole('region', { name: 'Result' }).getByRole('img')],
  ['a failed run', () => `/runs/${failed.id}`, (page) => page.getByRole('region', { name: 'What happened' })],
  ['batches', () => '/batches', (page) => page.getByText('2 of 2')],
  ['a new batch', () => '/batches/new', (page) => page.getByText('Price of a run')],
  ['a batch', () => `/batches/${batch.id}`, (page) => tile(page, 'two').getByText('hello two')],
  ['credits', () => '/credits', (page) => page.getByRole('region', { name: 'Ledger' })],
  ['health', () => '/health', (page) => page.getByRole('region', { name: 'Verdict' })],
  ['a page that does not exist', () => '/nowhere', (page) => page.getByText('Page not found')],
]

/** 1280 x 1024 at 400 %: the smallest window that WCAG 1.4.10 has in mind. */
const ZOOMED = { width: 320, height: 256 }

/** Focuses each control, forwards and backwards, and returns those of which nothing can be seen then. */
const coveredWithFocus = (page: Page): Promise<string[]> =>
  page.evaluate<string[]>(`(() => {
    const controls = [...document.querySelectorAll('main :is(a[href], button, input, textarea, select)')]
    const shares = [0.05, 0.25, 0.5, 0.75, 0.95]
    const isSeen = (control) => {
      const { left, top, width, height } = control.getBoundingClientRect()
      const marks = [control, ...(control.labels ?? [])]
      return shares.some((x) => shares.some((y) => {
        const front = document.elementFromPoint(left + width * x, top + height * y)
        return marks.some((mark) => mark.contains(front))
      }))
    }
    const covered = new Set()
    for (const control of [...controls, ...controls.toReversed()]) {
      // What has the focus already does not scroll.
      control.blur()
      control.focus()
      if (document.activeElement === control && !isSeen(control)) covered.add(control.outerHTML.slice(0, 100))
    }
    return [...covered]
  })()`)

describe('fits a phone and a window at 400 %, and has no serious axe violations in either theme', () => {
  test.each(PAGES)('%s', async (_name, path, there) => {
    const page = await visit(path())
    await there(page).waitFor()
    expect(await seriousInBoth(page)).toEqual([])
    await page.setViewportSize(PHONE.viewport ?? DESKTOP)
    expect(await tooWide(page)).toBe(0)
    expect(await seriousButColours(page)).toEqual([])
    expect(await coveredWithFocus(page)).toEqual([])
    await page.setViewportSize(ZOOMED)
    expect(await tooWide(page)).toBe(0)
    expect(await coveredWithFocus(page)).toEqual([])
  })
})

describe('Studio', () => {
  test('animates only what the compositor draws, and stands still where less motion is preferred', async () => {
    const page = await visit('/livez', { reducedMotion: 'no-preference' })
    await page.route('**/v1/jobs?*', async (route) => {
      const response = await route.fetch()
      const list = (await response.json()) as { data: Job[] }
      const running = { status: 'processing', phase: 'running', progress: null, completed_at: null, output: null }
      const data = list.data.map((job) => ({ ...job, ...running, artifacts: [] }))
      await route.fulfill({ response, json: { ...list, data } })
    })
    await page.goto('/')
    await page.locator('.status-running').first().waitFor()
    const endless = (): Promise<string[]> =>
      page.evaluate<string[]>(`document.getAnimations()
        .filter(({ effect }) => effect.getTiming().iterations === Infinity)
        .flatMap(({ effect }) => effect.getKeyframes().flatMap((frame) => Object.keys(frame)
          .filter((key) => !/^(offset|computedOffset|easing|composite)$/.test(key))
          .map((key) => effect.target.localName + ' ' + key)))`)
    // An element, not a part of a drawing: only elements are moved without painting.
    expect(new Set(await endless())).toEqual(new Set(['svg transform', 'span transform']))
    await page.emulateMedia({ reducedMotion: 'reduce' })
    expect(await endless()).toEqual([])
  })

  test('shows a lost connection, and catches up', async () => {
    const page = await visit('/')
    await page.getByText('Live', { exact: true }).waitFor()
    await page.route('**/v1/events', (route) => route.abort())
    await page.reload()
    await page.getByText('Connection lost, reconnecting…').waitFor()
    await studio.service.client.submit({ version: HELLO, input: { text: 'Sent while disconnected' } })
    await page.unroute('**/v1/events')
    await page.getByText('Live', { exact: true }).waitFor()
    await tile(page, 'Sent while disconnected').getByText('Succeeded').waitFor()
    expect(await page.getByText('Connection lost, reconnecting…').count()).toBe(0)
  })

  test('runs presets while Replicate’s models cannot be read, and says why', async () => {
    const page = await visit('/livez')
    const detail = 'Could not read the list of models: Replicate refuses the API token.'
    const problem = { type: 'about:blank', title: 'x', status: 503, code: 'upstream_unavailable', detail }
    const headers = { 'content-type': 'application/problem+json', 'retry-after': '120' }
    await page.route('**/v1/models', (route) => route.fulfill({ status: 503, headers, body: JSON.stringify(problem) }))
    await page.goto('/')
    await page.getByLabel('Prompt', { exact: true }).waitFor()
    await page.getByLabel('Filter by preset').getByRole('option', { name: 'Story page' }).waitFor({ state: 'attached' })
    await page.getByRole('button', { name: /^Preset or model/ }).click()
    await page.getByRole('alert').getByText(detail).waitFor()
    await page.getByRole('region', { name: 'Presets' }).getByText('Story page').waitFor()
    expect(await serious(page)).toEqual([])
    await page.unroute('**/v1/models')
    await page.getByRole('button', { name: 'Try again' }).click()
    await page.getByRole('region', { name: 'Models' }).getByText('flux-schnell').waitFor()
    expect(await page.getByText(detail).count()).toBe(0)
    await page.keyboard.press('Escape')
    await runIn(page, 'In spite of the models')
    await tile(page, 'In spite of the models').getByText('Succeeded').waitFor()
  })

  test('shows on the health page what could be read', async () => {
    const page = await visit('/livez')
    await page.route('**/v1/health', (route) => route.fulfill({ status: 500, body: 'a proxy fails' }))
    await page.goto('/health')
    await page.getByRole('alert').waitFor()
    await page.getByRole('region', { name: 'Components' }).waitFor()
    await page.unroute('**/v1/health')
    await page.getByRole('region', { name: 'Verdict' }).waitFor()
  })

  test('sends one request to a service that does not respond, however often the page repeats the read', async () => {
    const page = await visit('/livez')
    let asked = 0
    await page.route('**/v1/health', () => void (asked += 1))
    await page.goto('/health')
    // Read as often as the report of health.
    for (let turn = 0; turn < 3; turn++) await page.waitForResponse('**/readyz')
    await page.getByRole('region', { name: 'Components' }).waitFor()
    expect(asked).toBe(1)
    await page.unrouteAll({ behavior: 'ignoreErrors' })
  })

  test.each([
    ['batches', '/batches', '**/v1/batches?*', (page: Page) => page.getByText('2 of 2')],
    [
      'the ledger',
      '/credits',
      '**/v1/credits/ledger?*',
      (page: Page) => page.getByText('No entries yet.').or(page.getByText('Balance after')),
    ],
    [
      'a run',
      () => `/runs/${failed.id}`,
      '**/v1/jobs/job_*',
      (page: Page) => page.getByRole('region', { name: 'Status' }),
    ],
  ])('reads %s again after an error', async (_name, path, requests, there) => {
    const page = await visit('/livez')
    await page.route(requests, (route) => route.fulfill({ status: 500, body: 'a proxy fails' }))
    await page.goto(typeof path === 'string' ? path : path())
    const again = page.getByRole('button', { name: 'Try again' })
    await again.waitFor()
    await page.unroute(requests)
    await again.click()
    await there(page).waitFor()
  })

  test('works by keyboard', async () => {
    const page = await visit('/')
    await page.getByRole('listitem').first().waitFor()
    await page.keyboard.press('Escape')
    await page.keyboard.press('/')
    const search = page.getByRole('searchbox')
    expect(await search.and(page.locator(':focus')).count()).toBe(1)
    await page.keyboard.press('Escape')
    await page.keyboard.press('ArrowRight')
    await page.keyboard.press('Enter')
    await page.waitForURL(/\/runs\/job_/)
    const newest = page.url()
    await page.getByRole('region', { name: 'Status' }).waitFor()
    await page.getByRole('button', { name: 'Older run' }).and(page.locator(':enabled')).waitFor()
    await page.keyboard.press('ArrowRight')
    await page.waitForURL((url) => url.pathname.startsWith('/runs/') && url.href !== newest)
    await page.keyboard.press('Escape')
    await page.waitForURL((url) => url.pathname === '/')
  })

  test('closes a panel on Escape without leaving the page, and on a focus or click elsewhere', async () => {
    const page = await visit(`/runs/${failed.id}`)
    const account = page.getByRole('button', { name: /^Account/ })
    const panel = page.getByText('operate the deployment')
    await account.click()
    await panel.waitFor()
    await page.keyboard.press('Escape')
    await panel.waitFor({ state: 'detached' })
    expect(await account.and(page.locator(':focus')).count()).toBe(1)
    await page.keyboard.press('Enter')
    await panel.waitFor()
    await page.keyboard.press('Shift+Tab')
    await panel.waitFor({ state: 'detached' })
    await account.click()
    await panel.waitFor()
    await page.getByRole('region', { name: 'What happened' }).click()
    await panel.waitFor({ state: 'detached' })
    expect(new URL(page.url()).pathname).toBe(`/runs/${failed.id}`)
  })

  test('keeps a search as it was typed', async () => {
    const page = await visit('/')
    const search = page.getByRole('searchbox')
    await search.fill('50%20 & 100%')
    await page.waitForURL((url) => [...url.searchParams.values()].includes('50%20 & 100%'))
    await page.reload()
    await search.waitFor()
    expect(await search.inputValue()).toBe('50%20 & 100%')
  })

  test('survives a reload, and back restores the scroll position and the filter', async () => {
    const page = await visit('/?status=succeeded')
    const oldest = tile(page, 'hello number 0')
    await oldest.scrollIntoViewIfNeeded()
    const place = await page.evaluate<number>('scrollY')
    expect(place).toBeGreaterThan(0)
    await oldest.getByRole('link').click()
    await page.getByRole('heading', { level: 1, name: 'number 0' }).waitFor()
    await status(page, 'Succeeded')
    await page.goBack()
    await oldest.waitFor()
    expect(new URL(page.url()).search).toBe('?status=succeeded')
    expect(await page.evaluate<number>('scrollY')).toBe(place)

    await page.goForward()
    await status(page, 'Succeeded')
    await page.reload()
    await page.getByRole('heading', { level: 1, name: 'number 0' }).waitFor()
    await page.goBack()
    const chosen = page.getByRole('navigation', { name: 'Filter by status' }).locator('[aria-current=page]')
    await chosen.and(page.getByText('Succeeded')).waitFor()
  })

  test('starts a run from a phone', async () => {
    const page = await visit('/', PHONE)
    await page.getByRole('link', { name: 'New run' }).click()
    await runIn(page, 'From a phone')
    const mine = tile(page, 'From a phone')
    await mine.getByText('Succeeded').waitFor()
    await seesPicture(mine.getByRole('img'))
    expect(new URL(page.url()).pathname).toBe('/')
    expect(await tooWide(page)).toBe(0)
  })

  test('remembers the chosen theme', async () => {
    const page = await visit('/', { colorScheme: 'light' })
    const background = () => page.evaluate<string>('getComputedStyle(document.documentElement).backgroundColor')
    const light = await background()
    await page.getByRole('button', { name: /^Theme: system/ }).click()
    await page.getByRole('button', { name: /^Theme: light/ }).click()
    await page.getByRole('button', { name: /^Theme: dark/ }).waitFor()
    const dark = await background()
    expect(dark).not.toBe(light)
    await page.reload()
    expect(await background()).toBe(dark)
  })
})
