import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Endpoint, EndpointTest, Job, NewEndpoint, Notification } from '../../src/client/types.ts'
import { createOperator, type Answer, type Operator } from '../support/operator.ts'
import { startMailServer, type ReceivedMail } from '../support/mail-server.ts'
import { mailCheckOf } from '../../src/compose/mail.ts'
import { parseConfig } from '../../src/shared/settings/config.ts'
import { freePort } from '../support/free-port.ts'
import { SHORT_TIMINGS } from '../support/short-timings.ts'
import { startService, type TestService } from '../support/start-service.ts'
import { waitFor } from '../support/wait-for.ts'

/** Notifications by mail, from the commit of a job to a real mail server, with the pages that mails link to. */

const HELLO = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'

let mails: Awaited<ReturnType<typeof startMailServer>>
let service: TestService
let operator: Operator
beforeAll(async () => {
  mails = await startMailServer()
  service = await startService({
    timings: { ...SHORT_TIMINGS },
    simulator: { speed: 100 },
    env: { SMTP_URL: `smtp://genqueue:secret@127.0.0.1:${mails.port}`, MAIL_FROM: 'The Studio <studio@example.com>' },
  })
  operator = createOperator(service)
})
afterAll(() => service.stop())

interface Shop {
  tenant: string
  key: string
}
let addresses = 0
const newAddress = (): string => `ada-${++addresses}@example.org`

/** A busy machine may keep Redis from answering for a moment. */
const newShop = (settings: ShopSettings = {}): Promise<Shop> => waitFor('a tenant', () => makeShop(settings))

interface ShopSettings {
  mails_per_hour?: number
  mail_to_metadata?: boolean
}

async function makeShop(settings: ShopSettings): Promise<Shop> {
  const { mails_per_hour, mail_to_metadata } = settings
  const tenant = await operator.newTenant(mails_per_hour === undefined ? {} : { mails_per_hour })
  if (mail_to_metadata) await operator.ask(`/v1/admin/tenants/${tenant}`, { body: { mail_to_metadata } })
  const scopes = ['jobs:write', 'jobs:read', 'webhooks']
  return { tenant, key: (await operator.newKey(tenant, { scopes })).key }
}

const create = ({ key }: Shop, body: object): Promise<Answer<NewEndpoint>> =>
  operator.ask<NewEndpoint>('/v1/endpoints', { key, body })

/** The first URL of a mail whose path begins like this. */
function linkIn({ text }: ReceivedMail, path: string): string {
  const found = text.split('\n').find((line) => line.startsWith('http') && new URL(line).pathname.startsWith(path))
  if (found === undefined) throw new Error(`no link to ${path} in:\n${text}`)
  return found
}

/** An endpoint with a confirmed address. */
async function subscribe(shop: Shop, request: object = {}): Promise<{ id: string; address: string }> {
  const address = newAddress()
  const { body } = await create(shop, { url: `mailto:${address}`, ...request })
  const [mail] = await mails.count(address, 1)
  if (!mail) throw new Error('a mail came')
  expect((await fetch(linkIn(mail, '/mail/confirm/'), { method: 'POST' })).status).toBe(200)
  return { id: body.id, address }
}

const submit = ({ key }: Shop, request: object): Promise<string> => operator.submit(key, request)
const hello = (shop: Shop, more: object = {}): Promise<string> =>
  submit(shop, { version: HELLO, input: { text: 'Ada' }, ...more })

async function over({ key }: Shop, job: string): Promise<Notification> {
  return waitFor('the end of the notification', async () => {
    const { body } = await operator.ask<{ data: Notification[] }>(`/v1/notifications?job=${job}`, { key })
    return body.data.find(({ state }) => state === 'delivered' || state === 'failed')
  })
}

test('an address is asked first, confirmed by a POST only, and then gets mail with the result', async () => {
  const shop = await newShop()
  const address = newAddress()
  const made = await create(shop, { url: `mailto:${address}`, description: 'the team' })
  expect(made).toMatchObject({
    status: 201,
    body: { kind: 'email', url: `mailto:${address}`, confirmed_at: null, secret: null, state: 'enabled' },
  })
  const [asked] = await mails.count(address, 1)
  if (!asked) throw new Error('a mail came')
  expect(asked.headers).toMatchObject({
    from: 'The Studio <studio@example.com>',
    to: address,
    subject: `Confirm that you want mail about the runs of ${shop.tenant}`,
    'auto-submitted': 'auto-generated',
  })
  expect(asked.headers).not.toHaveProperty('list-unsubscribe')
  // Nothing is sent before.
  await operator.finished(shop.key, await hello(shop))
  const link = linkIn(asked, '/mail/confirm/')
  expect(link.startsWith(service.url)).toBe(true)
  for (const method of ['GET', 'HEAD']) expect((await fetch(link, { method })).status).toBe(200)
  const read = async (): Promise<Endpoint> =>
    (await operator.ask<Endpoint>(`/v1/endpoints/${made.body.id}`, { key: shop.key })).body
  expect((await read()).confirmed_at).toBeNull()
  const altered = `${link.slice(0, -1)}${link.endsWith('A') ? 'B' : 'A'}`
  expect((await fetch(altered, { method: 'POST' })).status).toBe(404)
  const done = await fetch(link, { method: 'POST', body: new URLSearchParams({ any: 'thing' }) })
  expect([done.status, done.headers.get('cache-control')]).toEqual([200, 'no-store'])
  expect(await done.text()).toContain('Your address is confirmed')
  expect((await read()).confirmed_at).not.toBeNull()
  expect(mails.to(address)).toHaveLength(1)

  const job = await hello(shop, { metadata: { order: 17 } })
  const sent = (await mails.count(address, 2))[1]
  if (!sent) throw new Error('a mail came')
  expect(sent.headers['subject']).toMatch(new RegExp(`is finished \\(${job.slice(-6)}\\)$`))
  expect(sent.text).toContain(`${service.url}/runs/${job}`)
  expect(sent.text).toContain('order: 17')
  expect(sent.html).toContain(`href="${service.url}/runs/${job}"`)
  expect(sent.picture).toBeNull()
  const log = await over(shop, job)
  expect(log).toMatchObject({ state: 'delivered', attempts: [{ status: 250, error: null, advice: null }] })
  expect(log.attempts[0]?.detail).toContain(`To ${address}: 250`)
  expect(sent.headers['message-id']).toBe(`<${log.id}@example.com>`)
})

test('a picture is shown in the mail, and its file is linked for good', async () => {
  const shop = await newShop()
  const { address } = await subscribe(shop)
  await submit(shop, { preset: 'story-page', input: { prompt: 'A fox in the snow' } })
  const mail = (await mails.count(address, 2))[1]
  if (!mail) throw new Error('a mail came')
  expect(mail.headers['subject']).toMatch(/^Story page, “A fox in the snow”, is finished \(\w{6}\)$/)
  expect(mail.picture?.subarray(0, 2).toString('hex')).toBe('ffd8')
  expect(mail.html).toContain('src="cid:picture@genqueue"')
  const file = await fetch(linkIn(mail, '/v1/artifacts/'))
  expect([file.status, file.headers.get('content-type')?.split('/')[0]]).toEqual([200, 'image'])
  await file.body?.cancel()
})

test('a batch is one mail; an endpoint that does not hear of batches gets one for each job', async () => {
  const shop = await newShop()
  const whole = await subscribe(shop)
  const each = await subscribe(shop, { events: ['job.succeeded'] })
  const batch = await operator.ask<{ id: string }>('/v1/batches', {
    key: shop.key,
    body: { items: [1, 2].map((n) => ({ version: HELLO, input: { text: `${n}` } })) },
  })
  expect(batch.status).toBe(202)
  expect((await mails.count(each.address, 3)).length).toBe(3)
  const [, mail, ...more] = await mails.count(whole.address, 2)
  expect(more).toEqual([])
  expect(mail?.headers['subject']).toBe(`Batch of 2 runs is finished: 2 succeeded (${batch.body.id.slice(-6)})`)
  expect(mail?.text).toContain(`${service.url}/batches/${batch.body.id}`)
})

test('the metadata of a job names its recipient, where the operator allows it', async () => {
  const shop = await newShop()
  const url = 'mailto:{metadata.customer_email}'
  expect((await create(shop, { url })).body.errors?.[0]).toMatchObject({
    pointer: '/url',
    code: 'metadata_not_allowed',
  })
  await operator.ask(`/v1/admin/tenants/${shop.tenant}`, { body: { mail_to_metadata: true } })
  const wrong = await create(shop, { url, events: ['job.succeeded', 'credits.low'] })
  expect(wrong.body.errors?.[0]).toMatchObject({ pointer: '/events/1', code: 'not_by_mail' })
  const made = await create(shop, { url })
  expect(made.status).toBe(201)
  expect(made.body).toMatchObject({ url, events: ['job.succeeded', 'job.failed', 'job.canceled', 'batch.finished'] })
  expect(made.body.confirmed_at).not.toBeNull()

  const address = newAddress()
  const job = await hello(shop, { metadata: { customer_email: address, internal: 'note 9' } })
  const [mail] = await mails.count(address, 1)
  expect(mail?.text).not.toMatch(/\/runs\/|note 9/)
  expect(mail?.headers['list-unsubscribe']).toContain('/mail/unsubscribe/')
  expect((await over(shop, job)).attempts[0]?.detail).toContain(address)

  const failures: [metadata: object, error: string][] = [
    [{}, 'no_recipient'],
    [{ customer_email: 7 }, 'invalid_recipient'],
    [{ customer_email: 'ada@example.org\r\nBcc: eve@example.org' }, 'invalid_recipient'],
    [{ customer_email: 'ada@example.org, eve@example.org' }, 'invalid_recipient'],
    [{ customer_email: '"eve@example.org" <ada@example.org>' }, 'invalid_recipient'],
  ]
  const jobs = await Promise.all(failures.map(([metadata]) => hello(shop, { metadata })))
  const ended = await Promise.all(jobs.map((one) => over(shop, one)))
  expect(ended.map(({ state, attempts }) => [state, attempts.map(({ error }) => error)])).toEqual(
    failures.map(([, error]) => ['failed', [error]]),
  )
  expect(ended[0]?.attempts[0]?.advice).toContain('metadata')
  expect(mails.received.flatMap(({ to }) => to)).not.toContain('eve@example.org')
  // These failures concern one customer each: the next one is served at once.
  const health = (await operator.ask<Endpoint>(`/v1/endpoints/${made.body.id}`, { key: shop.key })).body.health
  expect(health).toMatchObject({ failures: 0, paused_until: null })

  await operator.ask(`/v1/admin/tenants/${shop.tenant}`, { body: { mail_to_metadata: false } })
  const last = await over(shop, await hello(shop, { metadata: { customer_email: address } }))
  expect(last.attempts.map(({ error }) => error)).toEqual(['metadata_not_allowed'])
  expect(mails.to(address)).toHaveLength(1)
})

test('a recipient unsubscribes by one click and can come back; the log shows why nothing was sent', async () => {
  const shop = await newShop({ mail_to_metadata: true })
  await create(shop, { url: 'mailto:{metadata.customer_email}' })
  const address = newAddress()
  // The same person.
  const shouted = address.replace('ada', 'ADA')
  const order = (): Promise<string> => hello(shop, { metadata: { customer_email: shouted } })
  await order()
  const [mail] = await mails.count(shouted, 1)
  if (!mail) throw new Error('a mail came')
  expect(mail.headers['list-unsubscribe-post']).toBe('List-Unsubscribe=One-Click')
  const link = /^<(.+)>$/.exec(mail.headers['list-unsubscribe'] ?? '')?.[1] ?? ''
  expect(linkIn(mail, '/mail/unsubscribe/')).toBe(link)
  expect(await (await fetch(link)).text()).toContain('>Unsubscribe</button>')
  // As mail programs do it.
  const click = await fetch(link, { method: 'POST', body: new URLSearchParams({ 'List-Unsubscribe': 'One-Click' }) })
  expect(click.status).toBe(200)
  const refused = await over(shop, await order())
  expect(refused).toMatchObject({ state: 'failed', attempts: [{ error: 'unsubscribed', status: null }] })
  const other = await newShop({ mail_to_metadata: true })
  await create(other, { url: 'mailto:{metadata.customer_email}' })
  await hello(other, { metadata: { customer_email: address } })
  // Of this tenant only.
  await mails.count(address, 1)

  expect(await (await fetch(link)).text()).toContain('>Get mail again</button>')
  expect(await (await fetch(`${link}?do=subscribe`, { method: 'POST' })).text()).toContain('You get mail again')
  expect((await over(shop, await order())).state).toBe('delivered')
})

test('a reply 4xx is repeated by the schedule, 5xx to the recipient is final, and a repeated mail has the same id', async () => {
  const shop = await newShop({ mail_to_metadata: true })
  await create(shop, { url: 'mailto:{metadata.customer_email}' })
  const [busy, gone, spam, lost] = [newAddress(), newAddress(), newAddress(), newAddress()]
  let [deferrals, losses] = [1, 1]
  mails.rules({
    onRecipient: (address) =>
      address === busy && deferrals-- > 0
        ? { code: 451, text: '4.7.1 Greylisted' }
        : address === gone
          ? { code: 550, text: '5.1.1 No such user' }
          : null,
    onData: ({ to }) =>
      to.includes(spam)
        ? { code: 554, text: '5.7.1 Looks like spam' }
        : to.includes(lost) && losses-- > 0
          ? 'hang up'
          : null,
  })
  const order = (customer_email: string): Promise<string> => hello(shop, { metadata: { customer_email } })
  const jobs = await Promise.all([busy, gone, spam, lost].map(order))
  const [delayed, refused, unwanted, repeated] = await Promise.all(jobs.map((job) => over(shop, job)))
  mails.rules({})
  expect(delayed).toMatchObject({ state: 'delivered', attempts: [{ status: 451, error: 'deferred' }, { status: 250 }] })
  expect(refused).toMatchObject({ state: 'failed', attempts: [{ status: 550, error: 'refused_for_good' }] })
  expect(refused?.attempts[0]?.detail).toContain('No such user')
  expect(unwanted).toMatchObject({ state: 'failed', attempts: [{ status: 554, error: 'refused_for_good' }] })
  // The server took the mail, and the process that sent it did not learn it.
  expect(repeated).toMatchObject({ state: 'delivered', attempts: [{ status: null }, { status: 250 }] })
  const ids = mails.to(lost).map(({ headers }) => headers['message-id'])
  expect(ids).toEqual([`<${repeated?.id}@example.com>`, `<${repeated?.id}@example.com>`])
})

test('mails over the rate of the tenant wait, and follow when it is raised', async () => {
  const shop = await newShop({ mail_to_metadata: true, mails_per_hour: 1 })
  await create(shop, { url: 'mailto:{metadata.customer_email}' })
  const address = newAddress()
  const order = (): Promise<string> => hello(shop, { metadata: { customer_email: address } })
  await over(shop, await order())
  const job = await order()
  const waiting = await waitFor('the second mail to wait', async () => {
    const { body } = await operator.ask<{ data: Notification[] }>(`/v1/notifications?job=${job}`, { key: shop.key })
    const [found] = body.data
    const isLater = Date.parse(found?.next_attempt_at ?? '') > Date.parse(found?.created_at ?? '') + 1000
    return isLater ? found : undefined
  })
  expect(waiting).toMatchObject({ state: 'pending', attempts: [] })
  expect(mails.to(address)).toHaveLength(1)
  await operator.ask(`/v1/admin/tenants/${shop.tenant}`, { body: { limits: { mails_per_hour: 1000 } } })
  expect(await over(shop, job)).toMatchObject({ state: 'delivered', attempts: [{ status: 250 }] })
  expect(mails.to(address)).toHaveLength(2)
})

test('a text of a client can neither add a header nor HTML, nor turn the subject round', async () => {
  const shop = await newShop()
  const { address } = await subscribe(shop)
  const prompt = 'A fox\r\nBcc: eve@example.org\r\n\r\n<script>alert(1)</script>\u202etxt'
  await submit(shop, { preset: 'story-page', input: { prompt }, metadata: { '<b>name</b>': '"><img src=x>' } })
  const mail = (await mails.count(address, 2))[1]
  expect(mail?.to).toEqual([address])
  expect(mail?.headers).not.toHaveProperty('bcc')
  expect(mail?.headers['subject']).toContain('“A fox Bcc: eve@example.org')
  expect(mail?.headers['subject']).not.toMatch(/[\r\n\u202e]/)
  expect(mail?.html).not.toMatch(/<script|<b>|<img src=x/)
  expect(mail?.html).toContain('&lt;script&gt;')
})

test('addresses are checked, and a confirmation is requested a few times only', async () => {
  const shop = await newShop()
  const wrong = [
    '',
    'ada',
    'ada@localhost',
    'Ada <ada@example.org>',
    'ada@example.org?cc=eve@example.org',
    'a b@example.org',
  ]
  for (const address of wrong)
    expect((await create(shop, { url: `mailto:${address}` })).body.errors?.[0]).toMatchObject({
      pointer: '/url',
      code: 'invalid_address',
    })
  const address = newAddress()
  const { body } = await create(shop, { url: `mailto:${address}` })
  const again = (): Promise<Answer<Endpoint>> =>
    operator.ask(`/v1/endpoints/${body.id}/confirmation`, { key: shop.key, body: {} })
  expect([(await again()).status, (await again()).status]).toEqual([202, 202])
  const limited = await again()
  expect([limited.status, limited.body.code]).toEqual([429, 'confirmation_limited'])
  expect(Number(limited.headers.get('retry-after'))).toBeGreaterThan(60)
  await operator.ask(`/v1/endpoints/${body.id}`, { key: shop.key, method: 'DELETE' })
  expect((await create(shop, { url: `mailto:${address.toUpperCase()}` })).status).toBe(429)

  const { id, address: confirmed } = await subscribe(shop)
  const change = (to: object) =>
    operator.ask<Endpoint>(`/v1/endpoints/${id}`, { key: shop.key, method: 'PATCH', body: to })
  expect((await change({ url: 'mailto:eve@example.org' })).body.errors?.[0]).toMatchObject({ code: 'address_is_fixed' })
  expect((await change({ url: `mailto:${confirmed}` })).body.url).toBe(`mailto:${confirmed}`)
  expect((await change({ events: ['job.progress'] })).body.errors?.[0]).toMatchObject({ code: 'not_by_mail' })
  expect((await change({ events: ['job.failed'] })).body.events).toEqual(['job.failed'])
  for (const route of ['rotate', 'confirmation'])
    expect((await operator.ask<Job>(`/v1/endpoints/${id}/${route}`, { key: shop.key, body: {} })).body.code).toBe(
      'wrong_endpoint_kind',
    )
})

test('a test sends a mail to a confirmed address, within the rate of the tenant, and returns the reply', async () => {
  const shop = await newShop({ mail_to_metadata: true, mails_per_hour: 4 })
  const unconfirmed = newAddress()
  const asked = await create(shop, { url: `mailto:${unconfirmed}` })
  const { id, address } = await subscribe(shop)
  const sendTest = (endpoint: string): Promise<Answer<EndpointTest>> =>
    operator.ask(`/v1/endpoints/${endpoint}/test`, { key: shop.key, body: {} })
  const body = { type: 'endpoint.test', data: { endpoint: { id } } }
  expect(await sendTest(id)).toMatchObject({
    status: 200,
    body: { delivered: true, attempt: { status: 250, error: null, advice: null }, body },
  })
  const mail = (await mails.count(address, 2))[1]
  expect(mail?.headers['subject']).toBe(`Test of mail to an endpoint of ${shop.tenant}`)
  expect(mail?.headers['list-unsubscribe']).toContain('/mail/unsubscribe/')

  mails.rules({ onRecipient: () => ({ code: 550, text: '5.1.1 No such user' }) })
  const refused = await sendTest(id)
  mails.rules({})
  expect(refused.body).toMatchObject({
    delivered: false,
    attempt: { status: 550, error: 'refused_for_good', detail: expect.stringContaining('No such user') },
  })
  expect((await sendTest(asked.body.id)).body).toMatchObject({ delivered: false, attempt: { error: 'not_confirmed' } })
  // Two confirmations and two tests.
  const limited = await sendTest(id)
  expect([limited.status, limited.body]).toMatchObject([429, { code: 'rate_limited', limit: 'mails_per_hour' }])
  expect(mails.to(unconfirmed)).toHaveLength(1)
  const byMetadata = await create(shop, { url: 'mailto:{metadata.customer_email}' })
  expect((await sendTest(byMetadata.body.id)).body.code).toBe('wrong_endpoint_kind')
  const { body: log } = await operator.ask<{ data: Notification[] }>('/v1/notifications', { key: shop.key })
  expect(log.data.map(({ type }) => type)).not.toContain('endpoint.test')
})

test('the doctor signs in to the mail server and says what is wrong with it', async () => {
  const MAIL_FROM = 'studio@example.com'
  const check = async (env: Record<string, string>, publicUrl: string | null = 'https://queue.example.com') =>
    (await mailCheckOf(parseConfig({ DATA_DIR: 'x', ...env }), () => publicUrl).run())['mail']
  const server = `127.0.0.1:${mails.port}`
  const good = { SMTP_URL: `smtp://genqueue:secret@${server}`, MAIL_FROM }
  const before = mails.received.length
  expect(await check(good)).toMatchObject({ state: 'ok', details: { server, from: MAIL_FROM } })
  expect(await check(good, null)).toMatchObject({ state: 'warning', todo: 'Set PUBLIC_URL.' })
  expect(await check({})).toMatchObject({ state: 'skipped' })
  const wrong = [`smtp://genqueue:wrong@${server}`, `smtp://127.0.0.1:${await freePort()}`, `smtps://${server}`]
  for (const SMTP_URL of wrong) {
    const found = await check({ SMTP_URL, MAIL_FROM })
    expect(found).toMatchObject({ state: 'failed', todo: expect.stringContaining('SMTP_URL') })
    expect(found?.seen).not.toMatch(/wrong@/)
  }
  expect(mails.received.length).toBe(before)
})
