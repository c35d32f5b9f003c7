import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import type { Batch } from '../../src/client/types.ts'
import { openStudio, seesPicture, serious, tile } from '../support/studio-page.ts'
import { waitFor } from '../support/wait-for.ts'

/** Batches in Studio: one prompt on each line, live progress, cancellation and retry. */

const studio = openStudio()
const { visit } = studio

async function finishedBatch(prompts: string[], title: string): Promise<Batch> {
  const { id } = await studio.service.client.batch({
    preset: 'story-page',
    metadata: { title },
    items: prompts.map((prompt) => ({ input: { prompt } })),
  })
  return waitFor('the batch to be over', async () => {
    const batch = await studio.service.client.getBatch(id)
    return batch.completed_at !== null && batch
  })
}

describe('a batch', () => {
  test('takes one prompt on each line, fills live, and offers its manifest', async () => {
    const page = await visit('/batches')
    await page.getByRole('heading', { name: 'No batch yet' }).waitFor()
    await page.getByRole('link', { name: 'New batch' }).first().click()
    await page.getByRole('button', { name: 'Run', exact: true }).click()
    await page.getByText('Required').waitFor()
    await page
      .getByLabel('Prompts, one on each line')
      .fill('A fox under stars\n\n  An owl in the rain \nA whale at dawn')
    await page.getByText('Price of 3 runs').waitFor()
    await page.getByText('0.009 credits').waitFor()
    await page.getByText('Name and limits').click()
    await page.getByLabel('Name', { exact: true }).fill('A small book')
    expect(await serious(page)).toEqual([])
    await page.evaluate('void (window.sameDocument = true)')
    await page.getByRole('button', { name: 'Run 3' }).click()

    await page.getByRole('heading', { level: 1, name: 'A small book' }).waitFor()
    const progress = page.getByRole('region', { name: 'Progress' })
    await progress.getByRole('heading', { name: 'All succeeded' }).waitFor()
    await progress.getByText('3 of 3').waitFor()
    await progress.getByText('100%').first().waitFor()
    for (const prompt of ['A fox under stars', 'An owl in the rain', 'A whale at dawn'])
      await seesPicture(tile(page, prompt).getByRole('img'))
    expect(await page.evaluate('window.sameDocument')).toBe(true)
    expect(await page.getByRole('listitem').getByRole('link').allTextContents()).toEqual([
      'A fox under stars',
      'An owl in the rain',
      'A whale at dawn',
    ])

    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Manifest' }).click(),
    ])
    const lines = (await readFile(await download.path(), 'utf8')).trim().split('\n')
    expect(lines.map((line) => (JSON.parse(line) as { status: string }).status)).toEqual(Array(3).fill('succeeded'))

    await page.goBack()
    await page.goto('/batches')
    await page.getByRole('link', { name: 'A small book' }).waitFor()
    await page.getByText('3 of 3').waitFor()
  })

  test('shows the failed runs, and retries only those', async () => {
    await studio.service.simulator.faults({ predictions: { fail: { next: 1, error: 'The lens cap was on' } } })
    const batch = await finishedBatch(['One of two', 'Two of two'], '<script>alert(1)</script>')
    const page = await visit(`/batches/${batch.id}`)
    await page.getByRole('heading', { level: 1, name: '<script>alert(1)</script>' }).waitFor()
    await page.getByText('Some succeeded').waitFor()
    await page.getByText('50%').waitFor()
    await page.getByRole('navigation', { name: 'Filter by status' }).getByRole('link', { name: 'Failed 1' }).click()
    await page.getByText('The lens cap was on').waitFor()
    expect(await page.getByRole('listitem').count()).toBe(1)
    expect(await serious(page)).toEqual([])
    await page.getByRole('button', { name: 'Retry 1 run' }).click()
    await page.waitForURL((url) => url.pathname.startsWith('/batches/bat_') && !url.pathname.endsWith(batch.id))
    await page.getByText('All succeeded').waitFor()
    await page.getByRole('link', { name: 'Retry of an earlier batch' }).waitFor()
  })

  test('is canceled after a confirmation, and says why it stopped', async () => {
    await studio.service.simulator.faults({ predictions: { starting_forever: { next: 2 } } })
    const { id } = await studio.service.client.batch({
      preset: 'story-page',
      items: [{ input: { prompt: 'Never one' } }, { input: { prompt: 'Never two' } }],
    })
    const page = await visit(`/batches/${id}`)
    await page.getByRole('button', { name: 'Cancel the rest' }).click()
    await page.getByText(/Queued runs cost nothing/).waitFor()
    // Escape declines the confirmation, and does not leave the page.
    await page.keyboard.press('Escape')
    const first = page.getByRole('button', { name: 'Cancel the rest' })
    expect(await first.and(page.locator(':focus')).count()).toBe(1)
    await page.keyboard.press('Enter')
    await page.getByRole('button', { name: 'Keep running' }).click()
    await page.getByRole('button', { name: 'Cancel the rest' }).click()
    await page.getByRole('button', { name: 'Cancel 2 runs' }).click()
    await page.getByText('The batch was canceled. Queued runs do not start.').waitFor()
    await page.getByRole('region', { name: 'Progress' }).getByRole('heading', { name: 'Canceled' }).waitFor()
  })

  test('that does not exist says so, and links to all batches', async () => {
    const page = await visit('/batches/bat_01JQ8ZK3V9C4T2M7X5R1B6N0PD')
    await page.getByRole('heading', { name: 'Could not load this batch' }).waitFor()
    await page.getByRole('link', { name: 'All batches' }).click()
    await page.getByRole('heading', { level: 1, name: 'Batches' }).waitFor()
  })

  test('that is refused names the invalid lines', async () => {
    const page = await visit('/batches/new')
    await page.getByLabel('Prompts, one on each line').fill(`Short\n${'long '.repeat(1000)}`)
    await page.keyboard.press('Control+Enter')
    await page
      .getByRole('alert')
      .getByText(/Number 2 \(long/)
      .waitFor()
  })
})
