import { readFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import type { Job } from '../../src/client/types.ts'
import { startService, TEST_KEY } from '../support/start-service.ts'
import { openStudio, PHONE, seesPicture, serious, status, tile, tooWide } from '../support/studio-page.ts'
import { waitFor } from '../support/wait-for.ts'

/** Runs in Studio: a first visit, the form, the sheet, one run, signing in. */

const HELLO = 'replicate/hello-world:9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'

const studio = openStudio()
const { visit } = studio

/** Through the page's own form, as a person would. */
async function run(page: Page, prompt: string): Promise<void> {
  await page.getByLabel('Prompt', { exact: true }).fill(prompt)
  await page.keyboard.press('Control+Enter')
}

async function open(page: Page, prompt: string): Promise<void> {
  await tile(page, prompt).getByRole('link').click()
  await page.getByRole('heading', { level: 1, name: prompt }).waitFor()
}

/** A run that is already there when the page is opened. */
async function finishedRun(prompt: string): Promise<Job> {
  const { id } = await studio.service.client.submit({
    model: 'black-forest-labs/flux-schnell',
    input: { prompt, aspect_ratio: '16:9' },
  })
  return waitFor('the run to succeed', async () => {
    const job = await studio.service.client.get(id)
    return job.status === 'succeeded' && job
  })
}

describe('a first visit', () => {
  test('needs no login, and one click on a sample makes a picture', async () => {
    const page = await visit('/')
    await page.getByRole('heading', { name: 'Nothing has run yet' }).waitFor()
    await page.getByRole('button', { name: /A picture/ }).click()
    const first = tile(page, 'A lighthouse in morning fog')
    await first.getByText('Succeeded').waitFor()
    await seesPicture(first.getByRole('img'))
  })
})

describe('a run', () => {
  test('is submitted, moves without a reload, shows its picture and gives it away', async () => {
    const page = await visit('/')
    await page.evaluate('void (window.sameDocument = true)')
    await run(page, 'A paper boat on a rainy street')
    const mine = tile(page, 'A paper boat on a rainy street')
    await mine.getByText('Succeeded').waitFor()
    await seesPicture(mine.getByRole('img'))

    await open(page, 'A paper boat on a rainy street')
    await status(page, 'Succeeded')
    await seesPicture(page.getByRole('region', { name: 'Result' }).getByRole('img'))
    expect(await page.evaluate('window.sameDocument')).toBe(true)

    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Download', exact: true }).click(),
    ])
    expect(download.suggestedFilename()).toMatch(/^\w+\.(webp|png|jpg)$/)
    expect((await readFile(await download.path())).byteLength).toBeGreaterThan(500)
    const [manifest] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Manifest' }).click(),
    ])
    expect(JSON.parse(await readFile(await manifest.path(), 'utf8'))).toMatchObject({ status: 'succeeded' })
  })

  test('tells where it is while it is under way, then ends when it is canceled', async () => {
    await studio.service.simulator.faults({ predictions: { starting_forever: { next: 1 } } })
    const page = await visit('/')
    await run(page, 'A clock without hands')
    await tile(page, 'A clock without hands').getByText('Starting').waitFor()

    await open(page, 'A clock without hands')
    await status(page, 'Starting up')
    await page.getByText('Replicate has accepted it').waitFor()
    await page.getByText(/time used until then is billed.*0\.003 credits that are held are given back/).waitFor()
    await page.getByText('Sent to Replicate').waitFor()
    await page.getByRole('button', { name: 'Cancel' }).click()
    await status(page, 'Canceled')
    await page.getByRole('button', { name: 'Run again' }).waitFor()
  })

  test('tells what went wrong, what it cost, and succeeds when tried again', async () => {
    await studio.service.simulator.faults({ predictions: { fail: { next: 1, error: 'The lens cap was on' } } })
    const page = await visit('/')
    await run(page, 'A portrait of a lighthouse keeper')
    const mine = tile(page, 'A portrait of a lighthouse keeper')
    await mine.getByText('Failed').waitFor()
    await mine.getByText('The lens cap was on').waitFor()

    await open(page, 'A portrait of a lighthouse keeper')
    const failed = page.url()
    const told = page.getByRole('region', { name: 'What happened' })
    await told.getByText('The lens cap was on').waitFor()
    await told.getByText('Not billed by Replicate. No credits taken, 0.003 given back.').waitFor()
    await page.getByText('by webhook').first().waitFor()
    await page.getByLabel('Logs of the model').getByText('Using seed').waitFor()
    await told.getByRole('button', { name: 'Try again' }).click()
    await page.waitForURL((url) => url.pathname.startsWith('/runs/') && url.href !== failed)
    await status(page, 'Succeeded')
    await seesPicture(page.getByRole('region', { name: 'Result' }).getByRole('img'))
  })

  test('survives a reload, and back leads to the sheet with its filter', async () => {
    const page = await visit('/?status=succeeded')
    await page.getByRole('link', { name: 'Succeeded', exact: true }).waitFor()
    const first = page.getByRole('listitem').first()
    await first.waitFor()
    const title = (await first.getByRole('link').textContent()) ?? ''
    await first.getByRole('link').click()
    await page.getByRole('heading', { level: 1, name: title }).waitFor()

    await page.reload()
    await page.getByRole('heading', { level: 1, name: title }).waitFor()
    await status(page, 'Succeeded')

    await page.goBack()
    await page.getByRole('listitem').first().waitFor()
    expect(new URL(page.url()).search).toBe('?status=succeeded')
    expect(
      await page.getByRole('navigation', { name: 'Filter by status' }).locator('[aria-current=page]').textContent(),
    ).toBe('Succeeded')
  })

  test('shows what is hostile as the text that it is: prompt, output, metadata', async () => {
    const hostile = '<script>alert(1)</script><img src=x onerror=alert(2)>'
    const page = await visit('/')
    await run(page, hostile)
    await tile(page, hostile).getByText('Succeeded').waitFor()
    await open(page, hostile)
    await status(page, 'Succeeded')
    expect(await page.getByRole('heading', { level: 1 }).textContent()).toBe(hostile)

    const { id } = await studio.service.client.submit({
      version: HELLO,
      input: { text: hostile },
      metadata: { note: hostile, [hostile]: 1 },
    })
    await page.goto(`/runs/${id}`)
    await status(page, 'Succeeded')
    await page.getByRole('region', { name: 'Result' }).getByText(`hello ${hostile}`).waitFor()
    await page.getByRole('region', { name: 'Details' }).getByText(hostile, { exact: true }).first().waitFor()
    await page.getByText('Job as JSON').click()
    expect(await page.locator('[onerror], #studio script').count()).toBe(0)
  })
})

describe('where a key is needed', () => {
  test('asks for it, says when it is wrong, and lets in and out again', async () => {
    const guarded = await startService({ autoSession: false })
    try {
      const page = await visit('/', { baseURL: guarded.url })
      const key = page.getByLabel('API key')
      await key.fill('not-a-key')
      await page.keyboard.press('Enter')
      await page.getByRole('alert').getByText('This key is not known here.').waitFor()
      expect(await serious(page)).toEqual([])
      await key.fill(TEST_KEY)
      await page.keyboard.press('Enter')
      await page.getByRole('heading', { name: 'Nothing has run yet' }).waitFor()
      await page.reload()
      await page.getByRole('heading', { name: 'Nothing has run yet' }).waitFor()
      expect(await page.evaluate<string>('JSON.stringify([localStorage, sessionStorage])')).not.toContain(TEST_KEY)
      await page.getByRole('button', { name: 'Account: Default' }).click()
      await page.getByText('operate the deployment').waitFor()
      expect(await serious(page)).toEqual([])
      await page.getByRole('button', { name: 'Sign out' }).click()
      await key.waitFor()
      await page.reload()
      await key.waitFor()
    } finally {
      await guarded.stop()
    }
  })
})

describe('the form', () => {
  test('says what is missing beside its field, and sends nothing', async () => {
    const page = await visit('/')
    const sent: string[] = []
    page.on('request', (request) => request.method() === 'POST' && sent.push(request.url()))
    await page.getByRole('button', { name: 'Run', exact: true }).click()
    const prompt = page.getByLabel('Prompt', { exact: true })
    await page.getByText('Required').waitFor()
    expect(await prompt.getAttribute('aria-invalid')).toBe('true')
    expect(await prompt.and(page.locator(':focus')).count()).toBe(1)
    expect(sent).toEqual([])
  })

  test('shows the service’s own words when it refuses', async () => {
    const page = await visit('/')
    const prompt = page.getByLabel('Prompt', { exact: true })
    await prompt.fill('x'.repeat(4001))
    await page.getByRole('button', { name: 'Run', exact: true }).click()
    await page.getByRole('alert').getByText('/input/prompt').waitFor()
    await page
      .locator('.field-error')
      .getByText(/4000 characters/)
      .waitFor()
    expect(await prompt.getAttribute('aria-invalid')).toBe('true')
  })

  test('offers another model by its name, and keeps the choice in the address', async () => {
    const page = await visit('/')
    await page.getByRole('button', { name: /^Preset or model/ }).click()
    await page.getByLabel('Search presets and models, or give any owner/name').fill('gemini')
    await page.keyboard.press('Enter')
    await page.waitForURL(/model=google\/gemini-3-pro/)
    await page.getByLabel('Prompt', { exact: true }).fill('Why only once?')
    await page.reload()
    expect(await page.getByLabel('Prompt', { exact: true }).inputValue()).toBe('Why only once?')
    await page.getByRole('button', { name: 'Edit as JSON' }).click()
    expect(JSON.parse(await page.getByLabel('Input as JSON').inputValue())).toEqual({ prompt: 'Why only once?' })
  })
})

describe('a model that is not official', () => {
  test('is run by its version, because its name alone is not enough', async () => {
    const page = await visit('/?model=replicate/hello-world')
    const [sent] = await Promise.all([
      page.waitForRequest((request) => request.method() === 'POST' && request.url().endsWith('/v1/jobs')),
      page
        .getByLabel('Text', { exact: true })
        .fill('from a community')
        .then(() => page.keyboard.press('Control+Enter')),
    ])
    expect(sent.postDataJSON()).toMatchObject({
      version: expect.stringMatching(/^replicate\/hello-world:[0-9a-f]{64}$/),
    })
    await page.getByRole('link', { name: 'Open the run' }).click()
    await page.getByRole('heading', { level: 1, name: 'from a community' }).waitFor()
    await status(page, 'Succeeded')
    await page.getByRole('region', { name: 'Result' }).getByText('hello from a community').waitFor()
    await page.getByText('replicate/hello-world', { exact: true }).first().waitFor()
  })
})

describe('the page', () => {
  test('says when the connection is lost, and catches up', async () => {
    const page = await visit('/')
    await page.getByText('Live', { exact: true }).waitFor()
    await page.route('**/v1/events', (route) => route.abort())
    await page.reload()
    await page.getByText('Connection lost, catching up…').waitFor()
    await studio.service.client.submit({
      model: 'black-forest-labs/flux-schnell',
      input: { prompt: 'Sent behind its back' },
    })
    await page.unroute('**/v1/events')
    await page.getByText('Live', { exact: true }).waitFor()
    await tile(page, 'Sent behind its back').getByText('Succeeded').waitFor()
    expect(await page.getByText('Connection lost, catching up…').count()).toBe(0)
  })

  test('is driven by the keyboard', async () => {
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

  test('fits a phone: one column, nothing to the side', async () => {
    const page = await visit('/', PHONE)
    const job = await finishedRun('A very long word: ' + 'lighthouse'.repeat(20))
    for (const path of ['/', '/new', `/runs/${job.id}`]) {
      await page.goto(path)
      const there =
        path === '/new' ? page.getByLabel('Prompt', { exact: true }) : page.getByRole('heading', { level: 1 })
      await there.waitFor()
      expect([path, await tooWide(page)]).toEqual([path, 0])
    }
    await page.goto('/')
    await page.getByRole('link', { name: 'New run' }).click()
    await run(page, 'From a phone')
    await tile(page, 'From a phone').getByText('Succeeded').waitFor()
    expect(new URL(page.url()).pathname).toBe('/')
  })

  test.each(['light', 'dark'] as const)('leaves axe nothing serious to say in %s', async (colorScheme) => {
    const page = await visit('/', { colorScheme })
    const job = await finishedRun(`Fog, seen ${colorScheme}`)
    await studio.service.simulator.faults({ predictions: { fail: { next: 1, error: 'The film tore' } } })
    await page.goto('/')
    await run(page, `Rain, seen ${colorScheme}`)
    await tile(page, `Rain, seen ${colorScheme}`).getByText('Failed').waitFor()
    await page.getByText('More options').click()
    expect(await serious(page)).toEqual([])
    await open(page, `Rain, seen ${colorScheme}`)
    expect(await serious(page)).toEqual([])
    await page.goto(`/runs/${job.id}`)
    await status(page, 'Succeeded')
    expect(await serious(page)).toEqual([])
  })

  test('keeps no key where scripts can read it', async () => {
    const page = await visit('/')
    await page.getByRole('listitem').first().waitFor()
    expect(await page.evaluate('document.cookie')).toBe('')
    const stored = await page.evaluate<string>('JSON.stringify([localStorage, sessionStorage])')
    expect(stored).not.toContain(TEST_KEY)
  })

  test('remembers the theme that was chosen', async () => {
    const page = await visit('/', { colorScheme: 'light' })
    const background = () => page.evaluate<string>('getComputedStyle(document.documentElement).backgroundColor')
    const light = await background()
    await page.getByRole('button', { name: /^Theme: as the system/ }).click()
    await page.getByRole('button', { name: /^Theme: light/ }).click()
    await page.getByRole('button', { name: /^Theme: dark/ }).waitFor()
    const dark = await background()
    expect(dark).not.toBe(light)
    await page.reload()
    expect(await background()).toBe(dark)
  })
})
