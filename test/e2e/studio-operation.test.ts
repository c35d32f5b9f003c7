import { describe, expect, test } from 'vitest'
import { finished } from '../support/finished.ts'
import { TEST_KEY } from '../support/start-service.ts'
import { openStudio, serious } from '../support/studio-page.ts'

/** What somebody looks at who runs the service: credits and health. */

const studio = openStudio()
const { visit } = studio

const paidRun = async (prompt: string): Promise<void> => {
  const { id } = await studio.service.client.submit({ preset: 'story-page', input: { prompt } })
  await finished(studio.service, id)
}

async function grant(amount: number, reason: string): Promise<void> {
  const answer = await fetch(`${studio.service.url}/v1/admin/tenants/default/credits`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({ amount, reason }),
  })
  expect(answer.status).toBe(201)
}

describe('credits', () => {
  test('say that there is no limit before the first grant, and count nonetheless', async () => {
    await paidRun('Before the first grant')
    const page = await visit('/credits')
    const account = page.getByRole('region', { name: 'Account' })
    await account.getByText('No limit').waitFor()
    await page
      .getByRole('region', { name: 'The last 30 days' })
      .getByRole('row', { name: /story-page 1 0\.003/ })
      .waitFor()
  })

  test('tell what is there, what was taken, and every movement in pages', async () => {
    await grant(5_000_000, '<img src=x onerror=alert(1)>')
    await Promise.all([paidRun('Page 1'), paidRun('Page 2')])
    for (let at = 0; at < 20; at++) await grant(1_000, `Number ${at}`)
    const page = await visit('/credits')
    const account = page.getByRole('region', { name: 'Account' })
    await account.getByText('5.014').waitFor()
    await account.getByText('0.009').waitFor()
    const ledger = page.getByRole('region', { name: 'Ledger' })
    await ledger.getByRole('row').nth(25).waitFor()
    await ledger.getByRole('button', { name: 'Older movements' }).click()
    // Three runs, held and taken; the grants and what opened the account; the head.
    const all = 3 * 2 + 21 + 1 + 1
    await ledger
      .getByRole('row')
      .nth(all - 1)
      .waitFor()
    expect(await ledger.getByRole('row').count()).toBe(all)
    await ledger.getByText('<img src=x onerror=alert(1)>').waitFor()
    expect(await serious(page)).toEqual([])
    await ledger.getByLabel('Kind of movement').selectOption('grant')
    await ledger.getByText('5.00').first().waitFor()
    expect(await ledger.getByRole('row').count()).toBe(21 + 1)
    expect(new URL(page.url()).search).toBe('?kind=grant')
    await page.reload()
    await ledger.getByText('<img src=x onerror=alert(1)>').waitFor()
    await ledger.getByLabel('Kind of movement').selectOption('capture')
    await ledger.getByRole('link', { name: /^run/ }).first().click()
    await page.getByRole('region', { name: 'Status' }).getByRole('heading', { name: 'Succeeded' }).waitFor()
    await page.getByText('0.003 credits').waitFor()
  })
})

describe('health', () => {
  test('says that all is well, with the figures for it', async () => {
    const page = await visit('/health')
    await page.getByRole('heading', { name: 'All is well' }).waitFor()
    const ends = page.getByRole('region', { name: 'How ends became known' })
    await ends.getByText('By webhook').waitFor()
    await ends.getByText('100 %').waitFor()
    await page.getByRole('region', { name: 'Webhooks' }).getByText('half of the last 3').waitFor()
    await page.getByRole('region', { name: 'Budget' }).getByText('60,000 a minute').first().waitFor()
  })

  test('says what is not well, and why runs wait', async () => {
    await studio.service.simulator.faults({ create: { status: { next: 1, code: 429 } } })
    await studio.service.client.submit({ preset: 'story-page', input: { prompt: 'Has to wait' } })
    const page = await visit('/health')
    await page.getByRole('heading', { name: 'One thing to look at' }).waitFor()
    await page.getByRole('region', { name: 'Verdict' }).getByText('Nothing is created').waitFor()
    await page.getByText('a pause that Replicate asked for').waitFor()
    await page
      .getByRole('region', { name: 'Budget' })
      .getByText(/Nothing is created: Replicate asked for a pause, for \d+ s/)
      .waitFor()
    expect(await serious(page)).toEqual([])
  })
})
