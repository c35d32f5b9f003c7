import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { finished } from '../support/finished.ts'
import { TEST_KEY } from '../support/start-service.ts'
import { openStudio, serious } from '../support/studio-page.ts'

/** The pages for operators: credits and health. */

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
  test('are unlimited before the first grant, but counted', async () => {
    await paidRun('Before the first grant')
    const page = await visit('/credits')
    const account = page.getByRole('region', { name: 'Account' })
    await account.getByText('No limit').waitFor()
    await page
      .getByRole('region', { name: 'The last 30 days' })
      .getByRole('row', { name: /story-page 1 0\.003/ })
      .waitFor()
  })

  test('show the balance, the charges, and every ledger entry in pages', async () => {
    await grant(5_000_000, '<img src=x onerror=alert(1)>')
    await Promise.all([paidRun('Page 1'), paidRun('Page 2')])
    for (let at = 0; at < 20; at++) await grant(1_000, `Number ${at}`)
    const page = await visit('/credits')
    const account = page.getByRole('region', { name: 'Account' })
    await account.getByText('5.014').waitFor()
    await account.getByText('0.009').waitFor()
    const ledger = page.getByRole('region', { name: 'Ledger' })
    await ledger.getByRole('row').nth(25).waitFor()
    await ledger.getByRole('button', { name: 'Older entries' }).click()
    // A hold and a capture for each of three runs, the grants, the opening entry, the table head.
    const all = 3 * 2 + 21 + 1 + 1
    await ledger
      .getByRole('row')
      .nth(all - 1)
      .waitFor()
    expect(await ledger.getByRole('row').count()).toBe(all)
    await ledger.getByText('<img src=x onerror=alert(1)>').waitFor()
    expect(await serious(page)).toEqual([])
    await ledger.getByLabel('Kind of entry').selectOption('grant')
    await ledger.getByText('5.00').first().waitFor()
    expect(await ledger.getByRole('row').count()).toBe(21 + 1)
    expect(new URL(page.url()).search).toBe('?kind=grant')
    await page.reload()
    await ledger.getByText('<img src=x onerror=alert(1)>').waitFor()
    await ledger.getByLabel('Kind of entry').selectOption('capture')
    await ledger.getByRole('link', { name: /^run/ }).first().click()
    await page.getByRole('region', { name: 'Status' }).getByRole('heading', { name: 'Succeeded' }).waitFor()
    await page.getByText('0.003 credits').waitFor()
  })
})

describe('budgets', () => {
  test('show what is used of each limit, also by user, and spending leads to CSV', async () => {
    const headers = { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json' }
    const url = `${studio.service.url}/v1/admin/budgets`
    const add = async (body: object): Promise<void> => {
      const asked = JSON.stringify({ tenant: 'default', period: 'month', ...body })
      expect((await fetch(url, { method: 'POST', headers, body: asked })).status).toBe(201)
    }
    await add({ scope: 'tenant', limit: 6000, title: 'Trial' })
    await add({ scope: 'user', period: 'day', limit: 3000, hard: false })
    const { id } = await studio.service.client.submit({
      preset: 'story-page',
      input: { prompt: 'Counted' },
      user: '<b>ada</b>',
    })
    await finished(studio.service, id)
    const page = await visit('/credits')
    const budgets = page.getByRole('region', { name: 'Budgets' })
    await budgets.getByRole('row', { name: /^Trial.*All runs · each month · resets .+ 0\.003 0\.006/ }).waitFor()
    await budgets
      .getByRole('row', { name: /^Each user: <b>ada<\/b>.*each day · only counts · resets .+ 0\.003 0\.003/ })
      .waitFor()
    expect(await serious(page)).toEqual([])
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'user', exact: true }).click(),
    ])
    expect(await readFile(await download.path(), 'utf8')).toMatch(
      /^day,user,.*\r\n[\d-]+,<b>ada<\/b>,1,3000,3000,0\r\n$/,
    )
    // Other tests run what has no price. The page reads the budgets again every 10 seconds.
    await page.clock.install()
    await page.reload()
    await budgets.waitFor()
    for (const { id: budget } of await studio.service.client.budgets())
      expect((await fetch(`${url}/${budget}`, { method: 'DELETE', headers })).status).toBe(204)
    await page.clock.fastForward(10_000)
    await budgets.waitFor({ state: 'detached' })
  })
})

describe('a waiting run', () => {
  test('shows how many runs start before it', async () => {
    const { client } = studio.service
    const scope = 'preset:story-page'
    await client.pauseCreation({ scope, reason: 'New prices at noon' })
    await client.submit({ preset: 'story-page', input: { prompt: 'The first of two' } })
    const { id } = await client.submit({ preset: 'story-page', input: { prompt: 'The second of two' } })
    const page = await visit(`/runs/${id}`)
    const status = page.getByRole('region', { name: 'Status' })
    await status.getByText('1 run before it').waitFor()
    await status.getByText('New prices at noon').waitFor()
    expect(await serious(page)).toEqual([])
    await client.resumeCreation(scope)
    await status.getByRole('heading', { name: 'Succeeded' }).waitFor()
    expect(await status.getByText('before it').count()).toBe(0)
  })
})

describe('health', () => {
  test('says that everything is healthy, with the figures for it', async () => {
    const page = await visit('/health')
    await page.getByRole('heading', { name: 'Everything is healthy' }).waitFor()
    const completions = page.getByRole('region', { name: 'How completions were detected' })
    await completions.getByText('By webhook').waitFor()
    await completions.getByText('100%').waitFor()
    await page.getByRole('region', { name: 'Webhooks' }).getByText('median of the last 6').waitFor()
    await page.getByRole('region', { name: 'Budget' }).getByText('60,000 a minute').first().waitFor()
  })

  test('names the problem, and why runs wait', async () => {
    await studio.service.simulator.faults({ create: { status: { next: 1, code: 429 } } })
    await studio.service.client.submit({ preset: 'story-page', input: { prompt: 'Has to wait' } })
    const page = await visit('/health')
    await page.getByRole('heading', { name: 'One problem' }).waitFor()
    await page.getByRole('region', { name: 'Verdict' }).getByText('Creation is paused').waitFor()
    await page.getByText('Replicate’s rate limit').waitFor()
    await page
      .getByRole('region', { name: 'Budget' })
      .getByText(/Creation is paused: Replicate is rate limiting this account\. Resumes in about \d+ s/)
      .waitFor()
    expect(await serious(page)).toEqual([])
  })

  test('shows limits and pauses, and changes them', async () => {
    const page = await visit('/health')
    const limits = page.getByRole('region', { name: 'Limits' })
    await limits
      .getByRole('row', { name: /^account:default \d+ – 60,000$|^account:default \d+ – – – 60,000$/ })
      .waitFor()
    await limits.getByLabel('Scope').fill('tenant:acme')
    await limits.getByLabel('Value').fill('7')
    await limits.getByRole('button', { name: 'Set limit' }).click()
    await limits.getByRole('row', { name: /^tenant:acme 0 7 / }).waitFor()
    await limits.getByLabel('Limit', { exact: true }).selectOption('Runs in flight of each tenant')
    await limits.getByLabel('Value').fill('7')
    await limits.getByRole('button', { name: 'Set limit' }).click()
    await limits.getByRole('alert').waitFor()
    await limits.getByLabel('Limit', { exact: true }).selectOption('Runs in flight')
    await limits.getByLabel('Value').fill('')
    await limits.getByRole('button', { name: 'Set limit' }).click()
    await limits.getByRole('row', { name: /^tenant:acme/ }).waitFor({ state: 'detached' })

    const pauses = page.getByRole('region', { name: 'Pauses by hand' })
    await pauses.getByText('Nothing is paused.').waitFor()
    await pauses.getByLabel('Scope').fill('preset:story-page')
    await pauses.getByLabel('Reason').fill('New pictures <b>soon</b>')
    await pauses.getByRole('button', { name: 'Pause creation' }).click()
    await pauses.getByText('New pictures <b>soon</b>').waitFor()
    expect(await serious(page)).toEqual([])
    await pauses.getByRole('button', { name: 'Resume preset:story-page' }).click()
    await pauses.getByText('Nothing is paused.').waitFor()
  })

  test('has a doctor, which checks the set-up at the press of a button and says what to do', async () => {
    const page = await visit('/health')
    const doctor = page.getByRole('region', { name: 'Doctor' })
    await doctor.getByRole('button', { name: 'Check the set-up' }).click()
    await doctor.getByText(/^(?:No problem found|\d problems?), checked at/).waitFor()
    await doctor.getByText(/^\d+ other checks$/).click()
    await doctor.getByText('A signed probe arrived unchanged').waitFor()

    const found = { title: 'Large webhook', state: 'failed', seen: '413 (nginx)', todo: 'Raise the limit', details: {} }
    const checks = [{ name: 'webhook_body', ...found, duration_ms: 5 }]
    await page.route('**/v1/admin/doctor', (route) =>
      route.fulfill({ json: { state: 'failed', at: new Date().toISOString(), checks } }),
    )
    await doctor.getByRole('button', { name: 'Check again' }).click()
    await doctor.getByText('1 problem, checked at').waitFor()
    await doctor.getByText('Raise the limit').waitFor()
    expect(await serious(page)).toEqual([])
  })
})
