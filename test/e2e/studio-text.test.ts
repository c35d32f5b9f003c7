import type { Locator } from 'playwright-core'
import { expect, test } from 'vitest'
import { openStudio, serious, status, tooWide } from '../support/studio-page.ts'
import { waitFor } from '../support/wait-for.ts'

/** A run that is open while its text is written. The simulator's time moves only where the test says so. */

const studio = openStudio({ simulator: { clock: 'manual', speed: 1 } })

const MODEL = 'google/gemini-3-pro'
const WORDS = ['Once upon a time', ' a fox <b>found</b>\na boat', ', and sailed away.']

function pathOf(url: string): string {
  const { pathname, search } = new URL(url)
  return pathname + search
}

/** Lets the simulator's time pass until this is visible. */
const appears = (what: Locator): Promise<boolean> =>
  waitFor(what.toString(), async () => {
    const isThere = await what.isVisible()
    if (!isThere) await control('clock', { advance_seconds: 10 })
    return isThere
  })

async function control(path: string, body: object): Promise<void> {
  const response = await fetch(`${studio.service.simulator.url}/_sim/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  expect([path, response.ok]).toEqual([path, true])
}

test('a run shows its text and its logs while they are written, over one connection', async () => {
  const logs = Array.from({ length: 30 }, (_, i) => `token ${i}`)
  await control('stubs', { model: MODEL, chunks: WORDS, logs, seconds: 900, start_seconds: 1 })
  const { id } = await studio.service.client.submit({
    model: MODEL,
    input: { prompt: 'A tale of a fox' },
    timeout: 1800,
  })
  const page = await studio.visit('/')
  const asked: string[] = []
  page.on('request', (request) => asked.push(pathOf(request.url()).replace(id, ':id')))
  await page.getByRole('listitem').filter({ hasText: 'A tale of a fox' }).getByRole('link').click()
  await status(page, 'Starting up')
  const text = page.getByRole('region', { name: 'Result' })
  await appears(text.getByText('Once upon a time'))
  await page.getByText('Logs', { exact: true }).click()
  const log = page.getByLabel('Logs of the model')
  await log.getByText('token 1').waitFor()
  await appears(text.getByText('Once upon a time a fox <b>found</b> a boat'))
  await status(page, 'Running')
  expect(await serious(page)).toEqual([])
  await page.setViewportSize({ width: 390, height: 844 })
  expect(await tooWide(page)).toBe(0)
  await control('clock', { advance_seconds: 1800 })
  await status(page, 'Succeeded')
  expect(await text.locator('p').textContent()).toBe(WORDS.join(''))
  await log.getByText('token 29').waitFor()
  // The run, its output, the same with logs, and the logs at its end. The timeline reads the history.
  expect(asked.filter((path) => path.startsWith('/v1/jobs/:id') && !path.endsWith('history')).sort()).toEqual([
    '/v1/jobs/:id',
    '/v1/jobs/:id/logs',
    '/v1/jobs/:id/output?include=job',
    '/v1/jobs/:id/output?include=job%2Clogs',
  ])
})
