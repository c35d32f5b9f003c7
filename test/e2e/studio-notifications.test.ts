import { ulid } from 'ulid'
import { describe, expect, test } from 'vitest'
import type { Page } from 'playwright-core'
import { verifyWebhook } from '../../src/client/node.ts'
import { createRedisEndpointStore } from '../../src/shared/notifications/redis-endpoint-store.ts'
import { createRedisNotificationStore } from '../../src/shared/notifications/redis-notification-store.ts'
import { startMailServer } from '../support/mail-server.ts'
import { startReceiver, withStatus } from '../support/receiver.ts'
import { waitFor } from '../support/wait-for.ts'
import { openStudio, PHONE, serious, seriousInBoth, tooWide } from '../support/studio-page.ts'

const mails = await startMailServer()
const studio = openStudio({
  env: { SMTP_URL: `smtp://genqueue:secret@127.0.0.1:${mails.port}`, MAIL_FROM: 'studio@example.com' },
})
const { visit } = studio

async function create(page: Page, url: string, description: string): Promise<string> {
  await page.getByRole('link', { name: 'New endpoint' }).click()
  await page.getByLabel('URL').fill(url)
  await page.getByLabel('Description').fill(description)
  await page.getByRole('button', { name: 'Create endpoint' }).click()
  const secret = page.getByRole('region', { name: 'Secret' })
  return secret.getByText(/^whsec_/).innerText()
}

/** A notification that failed, as the sender records it. */
async function failed(endpoint: string): Promise<string> {
  const { redis, keys } = studio.service
  const endpoints = createRedisEndpointStore({ redis, keys })
  const log = createRedisNotificationStore({ redis, keys, endpoints })
  const id = `ntf_${ulid()}_${endpoint.replace('ep_', '')}`
  const job = `job_${ulid()}`
  await log.add({
    id,
    tenant: 'default',
    type: 'job.succeeded',
    endpoint,
    destination: endpoint,
    url: null,
    shape: 'thin',
    job,
    batch: null,
    data: { job: { id: job, status: 'succeeded', rev: 7, batch: null, metadata: { page: 7 }, error: null } },
    created_at: Date.now(),
    state: 'pending',
  })
  const attempt = { at: Date.now(), duration: 84, status: 404, error: null, detail: '<h1>No such page</h1>' }
  const outcome = { state: 'failed', next: null, destination: null, pause: null } as const
  // The worker sends it at the same time.
  await waitFor('the failure to be recorded', async () => {
    const found = await log.read('default', id)
    return found !== null && (await log.record(found, attempt, outcome))
  })
  return id
}

describe('notifications', () => {
  test('have endpoints: created with a secret that is shown once, tested, changed, disabled and deleted', async () => {
    const receiver = await startReceiver()
    const page = await visit('/notifications')
    await page.getByText('No endpoint yet').waitFor()
    const secret = await create(page, receiver.url, 'Orders')

    await page.getByRole('button', { name: 'Send a test' }).click()
    await page.getByText('The test was accepted').waitFor()
    const [sent] = receiver.received
    expect(sent && verifyWebhook(sent.body, sent.headers, secret)).toMatchObject({ type: 'endpoint.test' })

    receiver.answer(withStatus(301, { location: '/elsewhere' }))
    await page.getByRole('button', { name: 'Send a test' }).click()
    await page.getByText('The test was not accepted').waitFor()
    await page.getByText('Redirects are not followed').waitFor()
    expect(await serious(page)).toEqual([])

    await page.getByLabel('job.started').check()
    await page.getByLabel('Only runs of some presets').check()
    await page.getByLabel('URL').fill('https://10.0.0.7/hook')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByText('10.0.0.7 is not a public address').waitFor()
    await page.getByLabel('URL').fill(receiver.url)
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByText('Saved').waitFor()
    const [endpoint] = await studio.service.client.endpoints()
    expect(endpoint?.events).toContain('job.started')
    expect(endpoint?.presets).toHaveLength(1)

    await page.getByRole('button', { name: 'Disable' }).click()
    await page.getByRole('button', { name: 'Enable' }).click()
    await page.getByRole('button', { name: 'Disable' }).waitFor()
    await page.getByRole('button', { name: 'Rotate secret' }).click()
    await page.getByRole('button', { name: 'Rotate', exact: true }).click()
    await page
      .getByRole('region', { name: 'Secret' })
      .getByText(/^whsec_/)
      .filter({ hasNotText: secret })
      .waitFor()

    await page.reload()
    await page.getByRole('heading', { level: 1, name: 'Orders' }).waitFor()
    expect(await page.getByText('whsec_').count()).toBe(0)
    await page.getByRole('button', { name: 'Delete' }).click()
    await page.getByRole('group', { name: 'Delete' }).getByRole('button', { name: 'Delete' }).click()
    await page.getByText('No endpoint yet').waitFor()
  })

  test('have a log with filters; one shows its attempts, what to do and its body, and is sent again', async () => {
    const receiver = await startReceiver()
    const { id: endpoint } = await studio.service.client.createEndpoint({ url: receiver.url, description: 'Orders' })
    await studio.service.client.createEndpoint({ url: receiver.url, description: 'Others' })
    const id = await failed(endpoint)
    const page = await visit('/notifications')
    const log = page.getByRole('region', { name: 'Log' })
    await log.getByRole('row', { name: /Failed job\.succeeded Orders \d 404/ }).waitFor()
    await log.getByLabel('Receiver').selectOption({ label: 'Others' })
    await log.getByText('Nothing was sent yet').waitFor()
    await log.getByLabel('Receiver').selectOption({ label: 'Orders' })
    await log.getByLabel('State').selectOption('failed')
    expect(new URL(page.url()).search).toBe(`?endpoint=${endpoint}&state=failed`)
    await page.reload()
    expect(await seriousInBoth(page)).toEqual([])
    await log.getByRole('link', { name: 'job.succeeded' }).click()

    await page.getByRole('heading', { level: 1, name: 'job.succeeded' }).waitFor()
    await page.getByText('The path does not exist at the receiver').waitFor()
    await page.getByText('<h1>No such page</h1>').waitFor()
    await page.getByRole('region', { name: 'Body' }).getByText('"page": 7').waitFor()
    await page.getByRole('region', { name: 'Facts' }).getByText(id).waitFor()
    expect(await serious(page)).toEqual([])
    await page.getByRole('button', { name: 'Send again' }).click()
    await page.getByText(/^(?:Pending|Delivered)$/).waitFor()
  })

  test('go to an address of mail, which is asked again until it is confirmed', async () => {
    const address = 'ada@example.org'
    const page = await visit('/notifications/endpoints/new', PHONE)
    await page.getByText('Where the service can send mail, also mailto:you@example.com.').waitFor()
    await page.getByLabel('URL').fill('mailto:ada')
    await page.getByLabel('job.progress').waitFor({ state: 'detached' })
    await page.getByRole('button', { name: 'Create endpoint' }).click()
    await page.getByText('Expected mailto: and one address').waitFor()
    // Events of the tenant are not for its customers.
    await page.getByLabel('URL').fill('mailto:{metadata.email}')
    await page.getByLabel('credits.low').waitFor({ state: 'detached' })
    await page.getByRole('button', { name: 'Create endpoint' }).click()
    await page.getByText('The operator has not allowed this tenant to write to addresses').waitFor()
    await page.getByLabel('URL').fill(`mailto:${address}`)
    await page.getByRole('button', { name: 'Create endpoint' }).click()

    await page.getByRole('heading', { level: 1, name: address }).waitFor()
    await page.getByText('Waits for confirmation').waitFor()
    expect(await page.getByRole('button', { name: /^(?:Send a test|Rotate secret)$/ }).count()).toBe(0)
    expect(await tooWide(page)).toBe(0)
    expect(await serious(page)).toEqual([])
    const again = page.getByRole('button', { name: 'Send the confirmation again' })
    await again.click()
    await page.getByText('Another mail is on its way').waitFor()
    const [mail] = await mails.count(address, 2)
    await again.click()
    await mails.count(address, 3)
    await again.click()
    await page.getByText('This address was asked several times').waitFor()

    const link = mail?.text.split('\n').find((line) => line.includes('/mail/confirm/')) ?? ''
    expect((await fetch(link, { method: 'POST' })).status).toBe(200)
    await again.waitFor({ state: 'detached' })
    await page.getByRole('button', { name: 'Send a test' }).click()
    await page.getByText('The test was accepted').waitFor()
    expect((await mails.count(address, 4)).at(-1)?.headers['subject']).toContain('Test of mail')
    await page.getByLabel('Description').fill('The team')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByRole('heading', { level: 1, name: 'The team' }).waitFor()
    await page.goto('/notifications')
    await page.getByRole('listitem').filter({ hasText: 'The team' }).getByText(address, { exact: true }).waitFor()
  })

  test('fit on a phone', async () => {
    const { id: endpoint } = await studio.service.client.createEndpoint({
      url: `http://127.0.0.1:9/${'a-long-path/'.repeat(12)}`,
    })
    const id = await failed(endpoint)
    const page = await visit('/notifications', PHONE)
    await page.getByRole('link', { name: 'job.succeeded' }).first().waitFor()
    expect(await tooWide(page)).toBe(0)
    await page.goto(`/notifications/endpoints/${endpoint}`)
    await page.getByLabel('URL').waitFor()
    expect(await tooWide(page)).toBe(0)
    await page.goto(`/notifications/${id}`)
    await page.getByRole('region', { name: 'Body' }).getByText('"page": 7').waitFor()
    expect(await tooWide(page)).toBe(0)
  })
})
