import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isAddress, metadataKeyOf, readMailbox } from '../../src/shared/mail/rules/address.ts'
import { CONFIRM_WITHIN_MS, createMailLinks } from '../../src/shared/mail/rules/mail-links.ts'
import { mailText, type Said } from '../../src/shared/mail/rules/mail-content.ts'
import { oneLine, renderHtml, renderText, subjectOf, within } from '../../src/shared/mail/rules/mail-text.ts'
import { resultOf } from '../../src/shared/mail/smtp-mailer.ts'
import { verdictOf } from '../../src/shared/notifications/rules/verdict.ts'
import { oneKey } from '../../src/shared/values/signing-keys.ts'
import { parseConfig } from '../../src/shared/settings/config.ts'

describe('an address', () => {
  test.each([
    'ada@example.org',
    'a.b+c_d@mail.example.co.uk',
    "o'neil@xn--bcher-kva.example",
    `${'a'.repeat(64)}@example.org`,
  ])('%s is one', (text) => expect(isAddress(text)).toBe(true))
  test.each([
    'ada',
    '@example.org',
    'ada@',
    'ada@localhost',
    'ada@example',
    'ada@-example.org',
    'ada@example-.org',
    'ada@[127.0.0.1]',
    'ada..b@example.org',
    '.ada@example.org',
    'ada.@example.org',
    'ada @example.org',
    'ada@example.org ',
    '"ada"@example.org',
    'ada@example.org\n',
    'ada@example.org\r\nBcc: eve@example.org',
    'ada@example.org,eve@example.org',
    'ada;eve@example.org',
    '<ada@example.org>',
    'ada@exa mple.org',
    'ada@exämple.org',
    'ada\0@example.org',
    'ada@example.org\u2028',
    `${'a'.repeat(65)}@example.org`,
    `ada@${'a'.repeat(64)}.org`,
    `ada@${'a.'.repeat(130)}org`,
    '{metadata.email}',
  ])('%j is none', (text) => expect(isAddress(text)).toBe(false))

  test('of any text, one that passes has one @, no space, no bracket and no control character', () => {
    fc.assert(
      fc.property(
        fc.string(),
        (text) => !isAddress(text) || /^[^@\s\p{C}<>,;:"()[\]\\]+@[^@\s\p{C}<>,;:"()[\]\\]+$/u.test(text),
      ),
    )
  })

  test('is read with a name', () => {
    expect(readMailbox(' Ada Lovelace <ada@example.org> ')).toEqual({
      name: 'Ada Lovelace',
      address: 'ada@example.org',
    })
    expect(readMailbox('ada@example.org')).toEqual({ name: '', address: 'ada@example.org' })
    for (const text of ['Ada', 'A <a@example.org>, B <b@example.org>', 'A\r\nB <a@example.org>', '<a@example.org', ''])
      expect(readMailbox(text)).toBeNull()
  })

  test('is named by a key of the metadata', () => {
    expect(metadataKeyOf('{metadata.customer_email}')).toBe('customer_email')
    for (const text of ['{metadata.}', '{metadata.a.b}', '{input.email}', 'x{metadata.email}', '{metadata.email}x'])
      expect(metadataKeyOf(text)).toBeNull()
  })
})

describe('links', () => {
  const links = createMailLinks(oneKey(Buffer.alloc(32, 1)))
  const claim = { tenant: 'shop', endpoint: 'ep_1', address: 'ada@example.org' }
  const tokenOf = (path: string): string => path.split('/').at(-1) ?? ''

  test('are read until they expire, each for its purpose', async () => {
    const token = tokenOf(links.confirmPath(claim, 1000))
    expect(await links.readConfirm(token, 1000 + CONFIRM_WITHIN_MS - 1)).toEqual(claim)
    expect(await links.readConfirm(token, 1000 + CONFIRM_WITHIN_MS)).toBeNull()
    expect(await links.readUnsubscribe(token)).toBeNull()
    const end = tokenOf(links.unsubscribePath(claim))
    expect(await links.readUnsubscribe(end)).toEqual({ tenant: 'shop', address: 'ada@example.org' })
    expect(await links.readConfirm(end, 0)).toBeNull()
  })

  test('that are altered, shortened or signed by another key are not', async () => {
    const token = tokenOf(links.confirmPath(claim, 0))
    const [content = '', signature = ''] = token.split('.')
    const other = Buffer.from(JSON.stringify(['shop', 'ep_1', 'eve@example.org', 9e15])).toString('base64url')
    for (const wrong of [
      `${other}.${signature}`,
      content,
      `${content}.`,
      `${content}.${signature.slice(1)}`,
      '',
      '.',
      'a.b',
    ])
      expect(await links.readConfirm(wrong, 0)).toBeNull()
    const foreign = createMailLinks(oneKey(Buffer.alloc(32, 2)))
    expect(await foreign.readConfirm(token, 0)).toBeNull()
  })
})

describe('what a mail says', () => {
  const said = (more: Partial<Said>): Said => ({
    type: 'job.failed',
    tenant: 'shop',
    data: {
      job: {
        id: 'job_01KGX5QD2R7T3V6X9Z1B4D8F5H',
        metadata: { order: 7, deep: {} },
        error: { code: 'x', message: 'No <b>face</b>' },
      },
    },
    job: null,
    studio: 'https://q.example.com/runs/1',
    files: [],
    isCustomer: false,
    confirm: null,
    ...more,
  })

  test.each<[Partial<Said>, string]>([
    [{}, 'Run has failed (4D8F5H)'],
    [
      { type: 'batch.finished', data: { batch: { id: 'bat_ABCDEF', counts: { total: 3, succeeded: 1, failed: 2 } } } },
      'Batch of 3 runs is finished: 1 succeeded, 2 failed (ABCDEF)',
    ],
    [{ type: 'credits.low', data: { credits: { balance: 12_500_000 } } }, 'Credits of shop are low: 12.5 left'],
    [{ type: 'credits.exhausted', data: { credits: { balance: 0 } } }, 'Credits of shop are used up'],
    [
      { type: 'budget.alert', data: { budget: { id: 'bdg_ABCDEF', title: '', used: 8_000_000, limit: 10_000_000 } } },
      'Budget ABCDEF of shop: 8 of 10 credits used',
    ],
    [
      { type: 'endpoint.disabled', data: { endpoint: { id: 'ep_ABCDEF', detail: 'Gone.' } } },
      'An endpoint of shop was disabled (ABCDEF)',
    ],
    [{ type: 'endpoint.confirmation', data: {} }, 'Confirm that you want mail about the runs of shop'],
    [{ type: 'endpoint.test', data: {} }, 'Test of mail to an endpoint of shop'],
    [{ type: 'artifact.at_risk' }, 'Run has a file that may be lost (4D8F5H)'],
  ])('%j has the subject %s', (more, subject) => expect(subjectOf(mailText(said(more)))).toBe(subject))

  test('is escaped in HTML, and says the same in text', () => {
    const mail = mailText(said({}))
    const html = renderHtml(mail, { unsubscribe: 'https://q.example.com/?a=1&b="2"', picture: null })
    expect(html).toContain('No &lt;b&gt;face&lt;/b&gt;')
    expect(html).toContain('href="https://q.example.com/?a=1&amp;b=&quot;2&quot;"')
    expect(html).not.toContain('<b>')
    const text = renderText(mail, 'https://q.example.com/u')
    expect(text).toContain('No <b>face</b>')
    expect(text).toContain('order: 7')
    expect(text).toContain('No more of these mails:\nhttps://q.example.com/u')
  })

  test('to a recipient of the metadata it has nothing of the tenant', () => {
    const text = renderText(mailText(said({ isCustomer: true, files: ['https://q.example.com/f'] })), null)
    expect(text).not.toMatch(/runs\/1|order|face|shop/)
    expect(text).toContain('https://q.example.com/f')
  })

  test('a text becomes one line without characters that act on what follows', () => {
    expect(oneLine('a\r\nb\u202e\u0000c \u2028 d', 20)).toBe('a b c d')
    expect(oneLine('😀'.repeat(5), 3)).toBe('😀😀…')
    fc.assert(fc.property(fc.string(), (text) => !/[\p{C}\p{Zl}\p{Zp}]/u.test(oneLine(text, 40))))
    expect(within('fox')).toBe('fox')
    expect(within('שועל')).toBe('\u2068שועל\u2069')
  })
})

describe('a reply of the mail server', () => {
  const failure = (fields: object): Error => Object.assign(new Error('it failed'), fields)
  test.each<[string, object, object]>([
    [
      '4xx to the recipient',
      { responseCode: 450, command: 'RCPT TO', response: '450 later' },
      { error: 'deferred', status: 450, ofDestination: true },
    ],
    [
      '5xx to the recipient',
      { responseCode: 550, command: 'RCPT TO', response: '550 no' },
      { error: 'refused_for_good', status: 550, ofDestination: true },
    ],
    [
      '5xx to the mail',
      { responseCode: 554, command: 'DATA', response: '554 spam' },
      { error: 'refused_for_good', status: 554, ofDestination: true },
    ],
    [
      '5xx to the sender',
      { responseCode: 530, command: 'MAIL FROM', response: '530 no' },
      { error: 'server_refused', status: 530, ofDestination: false },
    ],
    [
      'a wrong password',
      { responseCode: 535, code: 'EAUTH', command: 'AUTH PLAIN', response: '535 no' },
      { error: 'server_refused', ofDestination: false },
    ],
    [
      'nobody listens',
      { code: 'ESOCKET', cause: Object.assign(new Error('x'), { code: 'ECONNREFUSED' }) },
      { error: 'refused', ofDestination: false },
    ],
    ['no answer', { code: 'ETIMEDOUT', command: 'CONN' }, { error: 'timeout', ofDestination: false }],
    ['no such host', { code: 'EDNS' }, { error: 'dns', ofDestination: false }],
    ['no TLS', { code: 'ETLS' }, { error: 'tls', ofDestination: false }],
    ['a closed connection', { code: 'ECONNECTION' }, { error: 'reset', ofDestination: false }],
    ['anything else', {}, { error: 'failed', detail: 'it failed', ofDestination: false }],
  ])('%s', (_name, fields, expected) => expect(resultOf(failure(fields))).toMatchObject(expected))

  test('ends the schedule where trying again changes nothing, and holds up the others only where it concerns them', () => {
    const taken = { endpoint: 'ep_1', tries: 0 }
    const health = { failures: 9, failing_since: 0, paused_until: null, succeeded_at: null }
    const at = { health, now: 10 * 86_400_000, random: 0 }
    const of = (error: 'unsubscribed' | 'refused_for_good' | 'deferred', ofDestination: boolean) =>
      verdictOf(taken, { status: null, error, detail: '', retryAfter: null, ofDestination }, at)
    expect(of('unsubscribed', false)).toEqual({
      outcome: { state: 'failed', next: null, destination: null, pause: null },
      ends: null,
    })
    expect(of('refused_for_good', true)).toMatchObject({
      outcome: { state: 'failed', destination: 'failing' },
      ends: 'failing',
    })
    expect(of('deferred', false)).toMatchObject({ outcome: { state: 'pending', next: 5000, pause: null }, ends: null })
  })
})

describe('the configuration of mail', () => {
  const parse = (env: Record<string, string>) => parseConfig({ DATA_DIR: 'x', ...env }).mail
  test('is the server and the sender', () => {
    expect(parse({})).toBeNull()
    expect(parse({ SMTP_URL: 'smtps://u:p@mail.example.com', MAIL_FROM: 'Studio <studio@example.com>' })).toEqual({
      url: 'smtps://u:p@mail.example.com',
      from: { name: 'Studio', address: 'studio@example.com' },
    })
  })
  test.each([
    [
      { SMTP_URL: 'smtp://mail.example.com' },
      /MAIL_FROM: read nothing, expected the address .* because SMTP_URL is set/,
    ],
    [{ MAIL_FROM: 'a@example.com' }, /SMTP_URL: read nothing, expected smtp:.* because MAIL_FROM is set/],
    [
      { SMTP_URL: 'https://u:secret@mail.example.com', MAIL_FROM: 'a@example.com' },
      /^SMTP_URL: read \d+ characters, expected smtp:/,
    ],
    [
      { SMTP_URL: 'smtp://mail.example.com', MAIL_FROM: 'a@b\r\nBcc: c@example.com' },
      /^MAIL_FROM: read .*, expected the address/,
    ],
  ])('%j is refused at the start, with what to set', (env, message) => expect(() => parse(env)).toThrow(message))
})
