import { join } from 'node:path'
import { writeFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import { finished } from '../support/finished.ts'
import { HELLO, openStudio, seesPicture, serious, status, tile } from '../support/studio-page.ts'
import { tempDir } from '../support/temp-dir.ts'
import { TEST_KEY } from '../support/start-service.ts'
import { waitFor } from '../support/wait-for.ts'

/** Presets in Studio: the form generated from a schema, files, and the price. */

const own = (name: string, value: unknown) => ({
  name: `acme/${name}`,
  run_seconds: 0.1,
  input_schema: { type: 'object' as const, properties: {} },
  output: { kind: 'json' as const, value },
})
const DATA = `data:text/plain,a%20note`
const studio = openStudio({
  env: { UNPRICED_MODELS: 'allow' },
  simulator: {
    models: {
      models: [
        own('words', ['cat', 'dog', 'bird']),
        own('page', { caption: 'A cat', tags: ['cat', 'dog'], source_url: 'http://example.com/page' }),
        own('mixed', ['a caption', DATA]),
        own('broken', { good: DATA, bad: 'data:image/png;base64,***' }),
      ],
    },
  },
})
const { visit } = studio

/** A red pixel, to be dropped. */
const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=='

async function pictureFile(): Promise<string> {
  const path = join(tempDir(), 'old.png')
  await writeFile(path, Buffer.from(PIXEL, 'base64'))
  return path
}

/** A second of silence: WAV, 8 bit. */
async function soundFile(): Promise<string> {
  const rate = 8_000
  const sound = Buffer.alloc(44 + rate, 128)
  sound.write('RIFF', 0, 'latin1')
  sound.writeUInt32LE(36 + rate, 4)
  sound.write('WAVEfmt ', 8, 'latin1')
  sound.writeUInt32LE(16, 16)
  sound.writeUInt16LE(1, 20)
  sound.writeUInt16LE(1, 22)
  sound.writeUInt32LE(rate, 24)
  sound.writeUInt32LE(rate, 28)
  sound.writeUInt16LE(1, 32)
  sound.writeUInt16LE(8, 34)
  sound.write('data', 36, 'latin1')
  sound.writeUInt32LE(rate, 40)
  const path = join(tempDir(), 'hello.wav')
  await writeFile(path, sound)
  return path
}

/** Drops a picture with these bytes (base64) on the first drop zone. */
const drop = (page: Page, name: string, bytes: string): Promise<unknown> =>
  page.evaluate(`{
    const files = new DataTransfer()
    const bytes = Uint8Array.from(atob('${bytes}'), (letter) => letter.charCodeAt(0))
    files.items.add(new File([bytes], '${name}', { type: 'image/png' }))
    const place = document.querySelector('.drop')
    for (const type of ['dragover', 'drop'])
      place.dispatchEvent(new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer: files }))
  }`)

const grant = async (amount: number): Promise<void> => {
  const answer = await fetch(`${studio.service.url}/v1/admin/tenants/default/credits`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({ amount, reason: 'to be shown' }),
  })
  expect(answer.status).toBe(201)
}

describe('a preset', () => {
  test('is found by its name, shows a form of its open fields, and its price', async () => {
    const page = await visit('/')
    await page.getByRole('button', { name: /^Preset or model/ }).click()
    await page.getByLabel('Search presets and models, or give any owner/name').fill('training')
    await page.keyboard.press('Enter')
    await page.waitForURL(/preset=training-image/)
    await page.getByText('0.032 credits').waitFor()
    await page.getByText('More options').click()
    expect(await page.getByLabel('Steps', { exact: true }).inputValue()).toBe('28')
    // Fixed by the preset, so not in the form.
    expect(await page.getByText('Megapixels').count()).toBe(0)
    expect(await serious(page)).toEqual([])
  })

  test('for pictures accepts a dropped file, shows it, and the run keeps it', async () => {
    const page = await visit('/?preset=restore-image')
    await page.getByText('0.04 credits').waitFor()
    await page.getByRole('button', { name: 'Run', exact: true }).click()
    await page.getByText('Required').waitFor()
    // An invalid file shows the service's own error.
    await drop(page, 'empty.png', '')
    await page
      .getByRole('alert')
      .getByText(/empty|no bytes|no file/i)
      .waitFor()
    await drop(page, 'old.png', PIXEL)
    await page.getByText('old.png').waitFor()
    expect(await serious(page)).toEqual([])
    await page.getByRole('button', { name: 'Remove the file' }).click()
    await page.getByLabel('Photograph: choose a file').setInputFiles(await pictureFile())
    await page.getByText('old.png').waitFor()
    await page.getByRole('button', { name: 'Run', exact: true }).click()
    await page.getByRole('link', { name: 'Open the run' }).click()
    await page.getByRole('heading', { level: 1, name: 'Restore image' }).waitFor()
    await status(page, 'Succeeded')
    await seesPicture(page.getByRole('region', { name: 'Result' }).getByRole('img'))
    await seesPicture(page.getByRole('link', { name: 'Open the file' }).locator('img'))
    await page.getByText('0.04 credits').waitFor()
  })

  test('that costs more than the balance shows the shortfall, before and after submission', async () => {
    await grant(100_000)
    const page = await visit('/?preset=video-script')
    await page.getByText(/Balance too low by .* credits/).waitFor()
    await page.getByLabel('Prompt', { exact: true }).fill('A script of a lighthouse')
    await page.keyboard.press('Control+Enter')
    await page
      .getByRole('alert')
      .getByText(/micro-credits|credits/)
      .waitFor()
    await grant(10_000_000)
    await page.reload()
    await page.getByText(/Held until completion, from a balance of/).waitFor()
    // The draft has survived.
    await page.keyboard.press('Control+Enter')
    await tile(page, 'A script of a lighthouse').waitFor()
  })

  test('filters the sheet, and one of its runs fills the form again', async () => {
    const page = await visit('/')
    await tile(page, 'Restore image').waitFor()
    await page.getByLabel('Filter by preset').selectOption('lip-sync')
    await page.getByRole('heading', { name: 'No matching runs' }).waitFor()
    await page.getByLabel('Filter by preset').selectOption('restore-image')
    await tile(page, 'Restore image').waitFor()
    expect(new URL(page.url()).search).toBe('?of=restore-image')
    await tile(page, 'Restore image').getByRole('link').click()
    await status(page, 'Succeeded')
    await page.getByRole('link', { name: 'Edit and run' }).click()
    await page.waitForURL(/preset=restore-image/)
    await page.getByText('A file', { exact: true }).waitFor()
    // Values equal to the preset's are omitted.
    await page.getByRole('button', { name: 'Edit as JSON' }).click()
    expect(Object.keys(JSON.parse(await page.getByLabel('Input as JSON').inputValue()))).toEqual(['input_image'])
  })
})

test('a first visit tries presets that need files, with generated files', async () => {
  const page = await visit('/batches')
  // Samples appear only without runs: use a new tenant.
  await signIn(page, await newTenantKey())
  await page.goto('/')
  await page.getByRole('button', { name: /A restored photograph/ }).click()
  const made = tile(page, 'Restore image')
  await made.getByText('Succeeded').waitFor()
  await seesPicture(made.getByRole('img'))
  await page.getByRole('button', { name: 'Account: New <b>tenant</b>' }).click()
  await page.getByText('view runs').waitFor()
  // Not an operator: no link to the deployment's health.
  expect(await page.getByRole('link', { name: 'Health' }).count()).toBe(0)
})

test('a video is shown in a player, and structured output as JSON', async () => {
  const page = await visit('/?preset=lip-sync')
  // Typing during an upload: neither is lost.
  let release = (): void => undefined
  const held = new Promise<void>((resolve) => (release = resolve))
  await page.route('**/v1/uploads', async (route) => {
    await held
    await route.continue()
  })
  await page.getByLabel('Picture: choose a file').setInputFiles(await pictureFile())
  await page.getByLabel('Recording: choose a file').setInputFiles(await soundFile())
  const prompt = page.getByLabel('Prompt', { exact: true })
  await prompt.fill('She greets the camera')
  release()
  await page.getByText('old.png').waitFor()
  await page.getByText('hello.wav').waitFor()
  expect(await prompt.inputValue()).toBe('She greets the camera')
  await page.keyboard.press('Control+Enter')
  await page.getByRole('link', { name: 'Open the run' }).click()
  const film = page.getByRole('region', { name: 'Result' }).locator('video')
  await film.waitFor()
  // Not by waitForFunction: it evaluates within the page, where the content security policy refuses that.
  await waitFor('the film to be read', () => page.evaluate<boolean>(`document.querySelector('video').videoWidth > 0`))

  await studio.service.simulator.faults({ predictions: { output: { shape: 'object', next: 1 } } })
  const { id } = await studio.service.client.submit({ version: HELLO, input: { text: 'in a shape' } })
  await finished(studio.service, id)
  await page.goto(`/runs/${id}`)
  await page.getByRole('region', { name: 'Output as JSON' }).getByText('hello in a shape').waitFor()
})

test('texts, objects and files among texts are shown as the model returned them', async () => {
  const run = async (name: string): Promise<Page> => {
    const { id } = await studio.service.client.submit({ model: `acme/${name}`, input: {} })
    await finished(studio.service, id)
    return visit(`/runs/${id}`)
  }
  const json = (page: Page): Promise<string> => page.getByRole('region', { name: 'Output as JSON' }).innerText()
  expect(await json(await run('words'))).toMatch(/"cat",\s+"dog",\s+"bird"/)
  const page = await json(await run('page'))
  expect(page).toMatch(/"tags": \[\s+"cat",\s+"dog"\s+\]/)
  expect(page).toContain('"source_url": "http://example.com/page"')
  const mixed = await run('mixed')
  expect(await json(mixed)).toContain('"a caption"')
  await mixed.getByText('a note', { exact: true }).waitFor()
  // The stored part of an output is shown, although the run failed.
  const broken = await run('broken')
  await broken.getByText('a note', { exact: true }).waitFor()
  await broken.getByText('output_not_stored', { exact: true }).waitFor()
  expect(await json(broken)).toContain('"bad": null')
})

/** Signs in as the sign-in page does. */
const signIn = (page: Page, key: string): Promise<unknown> =>
  page.evaluate(`fetch('/v1/session', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: ${JSON.stringify(JSON.stringify({ key }))},
  })`)

async function newTenantKey(): Promise<string> {
  const ask = async (path: string, body: object): Promise<{ key: string }> => {
    const answer = await fetch(studio.service.url + path, {
      method: 'POST',
      headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    return (await answer.json()) as { key: string }
  }
  await ask('/v1/admin/tenants', { id: 'new', title: 'New <b>tenant</b>' })
  return (await ask('/v1/admin/tenants/new/keys', {})).key
}
