import { readFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import { TEST_KEY } from '../support/start-service.ts'
import { HELLO, openStudio, runIn, seesPicture, serious, seriousInBoth, status, tile } from '../support/studio-page.ts'
import { PATIENCE_MS } from '../support/wait-for.ts'

/** Runs in Studio: a first visit, the form, the sheet, one run, signing in. */

const studio = openStudio({ signInLink: true })
const { visit } = studio

async function open(page: Page, prompt: string): Promise<void> {
  await tile(page, prompt).getByRole('link').click()
  await page.getByRole('heading', { level: 1, name: prompt }).waitFor()
}

describe('a first visit', () => {
  test('shows samples, and one click on a sample creates a picture', async () => {
    const page = await visit('/')
    await page.getByRole('heading', { name: 'Nothing has run yet' }).waitFor()
    await page.getByRole('button', { name: /A picture/ }).click()
    const first = tile(page, 'A lighthouse in morning fog')
    await first.getByText('Succeeded').waitFor()
    await seesPicture(first.getByRole('img'))
  })
})

describe('a run', () => {
  test('is submitted, updates without a reload, shows its picture and offers it for download', async () => {
    const page = await visit('/')
    await page.evaluate('void (window.sameDocument = true)')
    await runIn(page, 'A paper boat on a rainy street')
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
    expect(download.suggestedFilename()).toMatch(/^[\w-]+-[0-9A-HJKMNP-TV-Z]{26}\.(webp|png|jpg)$/)
    expect((await readFile(await download.path())).byteLength).toBeGreaterThan(500)
    const [manifest] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Manifest' }).click(),
    ])
    expect(JSON.parse(await readFile(await manifest.path(), 'utf8'))).toMatchObject({ status: 'succeeded' })
  })

  test('is edited without losing the draft, and its page takes the focus', async () => {
    const page = await visit('/')
    await runIn(page, 'A lamp in the fog')
    await tile(page, 'A lamp in the fog').getByText('Succeeded').waitFor()
    await page.getByLabel('Prompt', { exact: true }).fill('half of a thought')
    await open(page, 'A lamp in the fog')
    await status(page, 'Succeeded')
    expect(await page.evaluate('document.activeElement?.tagName')).toBe('MAIN')
    await page.getByRole('link', { name: 'Edit and run' }).click()
    const prompt = page.getByLabel('Prompt', { exact: true })
    await page.getByText('has replaced your draft').waitFor()
    expect(await prompt.inputValue()).toBe('A lamp in the fog')
    await page.getByRole('button', { name: 'Restore draft' }).click()
    expect(await prompt.inputValue()).toBe('half of a thought')
    expect(await page.getByRole('button', { name: 'Restore draft' }).count()).toBe(0)
  })

  test('shows its progress, and completes when it is canceled', async () => {
    await studio.service.simulator.faults({ predictions: { starting_forever: { next: 1 } } })
    const page = await visit('/')
    await runIn(page, 'A clock without hands')
    await tile(page, 'A clock without hands').getByText('Starting').waitFor()

    await open(page, 'A clock without hands')
    await status(page, 'Starting up')
    await page.getByText('Replicate has accepted the request').waitFor()
    await page.getByText(/bills the time used until then.*0\.003 held credits are released/).waitFor()
    await page.getByText('Sent to Replicate').waitFor()
    await page.getByRole('button', { name: 'Cancel' }).click()
    await status(page, 'Canceled')
    await page.getByRole('button', { name: 'Run again' }).waitFor()
  })

  test('shows the error and its cost, and succeeds when retried', async () => {
    await studio.service.simulator.faults({ predictions: { fail: { next: 1, error: 'The lens cap was on' } } })
    const page = await visit('/')
    await runIn(page, 'A portrait of a lighthouse keeper')
    const mine = tile(page, 'A portrait of a lighthouse keeper')
    await mine.getByText('Failed').waitFor()
    await mine.getByText('The lens cap was on').waitFor()

    await open(page, 'A portrait of a lighthouse keeper')
    const failed = page.url()
    const outcome = page.getByRole('region', { name: 'What happened' })
    await outcome.getByText('The lens cap was on').waitFor()
    await outcome.getByText('Not billed by Replicate. No credits charged, 0.003 released.').waitFor()
    await page.getByText('by webhook').first().waitFor()
    await page.getByLabel('Logs of the model').getByText('Using seed').waitFor()
    await outcome.getByRole('button', { name: 'Try again' }).click()
    await page.waitForURL((url) => url.pathname.startsWith('/runs/') && url.href !== failed)
    await status(page, 'Succeeded')
    await seesPicture(page.getByRole('region', { name: 'Result' }).getByRole('img'))
  })

  test('shows hostile markup as plain text: prompt, output, user, metadata', async () => {
    const hostile = '<script>alert(1)</script><img src=x onerror=alert(2)>'
    const page = await visit('/')
    await runIn(page, hostile)
    await tile(page, hostile).getByText('Succeeded').waitFor()
    await open(page, hostile)
    await status(page, 'Succeeded')
    expect(await page.getByRole('heading', { level: 1 }).textContent()).toBe(hostile)

    const { id } = await studio.service.client.submit({
      version: HELLO,
      input: { text: hostile },
      metadata: { note: hostile, [hostile]: 1 },
      user: hostile,
    })
    await page.goto(`/runs/${id}`)
    await status(page, 'Succeeded')
    await page.getByRole('region', { name: 'Result' }).getByText(`hello ${hostile}`).waitFor()
    await page.getByRole('region', { name: 'Details' }).getByText(hostile, { exact: true }).waitFor()
    await page.getByRole('region', { name: 'Metadata' }).getByText(hostile, { exact: true }).first().waitFor()
    await page.getByText('Job as JSON').click()
    expect(await page.locator('[onerror], #studio script').count()).toBe(0)
  })
})

describe('where a key is needed', () => {
  test('asks for it, reports a wrong one, stores none, and signs in and out in every tab', async () => {
    const page = await visit('/', { signedIn: false })
    const key = page.getByLabel('API key')
    await key.fill('not-a-key')
    await page.keyboard.press('Enter')
    await page.getByRole('alert').getByText('This key is not valid.').waitFor()
    expect(await seriousInBoth(page)).toEqual([])
    await key.fill(TEST_KEY)
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { level: 1, name: 'Runs' }).waitFor()
    await page.reload()
    await page.getByRole('listitem').first().waitFor()

    const cookies = await page.context().cookies()
    expect(cookies.map(({ httpOnly, sameSite }) => ({ httpOnly, sameSite }))).toEqual([
      { httpOnly: true, sameSite: 'Strict' },
    ])
    expect(JSON.stringify(cookies)).not.toContain(TEST_KEY)
    expect(await page.evaluate('document.cookie')).toBe('')
    expect(await page.evaluate<string>('JSON.stringify([localStorage, sessionStorage])')).not.toContain(TEST_KEY)

    await page.getByRole('button', { name: 'Account: Default' }).click()
    await page.getByText('operate the deployment').waitFor()
    expect(await serious(page)).toEqual([])
    await page.keyboard.press('Escape')
    expect(await page.getByText('operate the deployment').count()).toBe(0)
    await page.keyboard.press('Enter')
    // Another tab of the same browser, with something typed and a run on the screen.
    const other = await page.context().newPage()
    other.setDefaultTimeout(PATIENCE_MS)
    await other.goto('/')
    await other.getByLabel('Prompt', { exact: true }).fill('typed before signing out')
    await other.getByRole('listitem').first().waitFor()
    await page.getByRole('button', { name: 'Sign out' }).click()
    await key.waitFor()
    await other.getByLabel('API key').waitFor()
    expect(await other.getByRole('listitem').count()).toBe(0)
    expect(await other.evaluate<string>('JSON.stringify(sessionStorage)')).not.toContain('typed before')
    await page.reload()
    await key.waitFor()
    await key.fill(TEST_KEY)
    await page.keyboard.press('Enter')
    await other.getByRole('listitem').first().waitFor()
  })

  test('or a sign-in link, which works once, leaves the address bar, and says what to do after its use', async () => {
    const { service } = studio
    const link = service.signInUrl ?? ''
    const page = await visit('/nowhere', { signedIn: false })
    await page.getByLabel('API key').waitFor()
    // In a tab that is open: only the fragment changes.
    await page.goto('/', { waitUntil: 'commit' })
    await page.evaluate(`void (location.href = ${JSON.stringify(link)})`)
    await page.getByRole('heading', { level: 1, name: 'Runs' }).waitFor()
    expect(page.url()).toBe(`${service.url}/`)
    const stranger = await visit(link, { signedIn: false })
    await stranger.getByRole('alert').getByText('This sign-in link was used or has expired.').waitFor()
    expect(stranger.url()).toBe(`${service.url}/`)
    expect(await serious(stranger)).toEqual([])
    // A signed-in user stays signed in.
    await page.goto(`${service.url}/batches#code=${'0'.repeat(32)}`)
    await page.getByRole('heading', { level: 1, name: 'Batches' }).waitFor()
    expect(page.url()).toBe(`${service.url}/batches`)
  })
})

describe('the form', () => {
  test('shows missing fields without a request, and errors of the service beside their field', async () => {
    const page = await visit('/')
    const sent: string[] = []
    page.on('request', (request) => request.method() === 'POST' && sent.push(request.url()))
    await page.getByRole('button', { name: 'Run', exact: true }).click()
    const prompt = page.getByLabel('Prompt', { exact: true })
    await page.getByText('Required').waitFor()
    expect(await prompt.getAttribute('aria-invalid')).toBe('true')
    expect(await prompt.and(page.locator(':focus')).count()).toBe(1)
    expect(sent).toEqual([])

    await prompt.fill('x'.repeat(4001))
    await page.keyboard.press('Control+Enter')
    await page.getByRole('alert').getByText('Prompt: ').waitFor()
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
  test('runs by its version', async () => {
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
