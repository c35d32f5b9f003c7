import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { accountsOf } from '../../src/shared/settings/accounts.ts'
import { ConfigError, parseConfig } from '../../src/shared/settings/config.ts'
import { tempDir } from '../support/temp-dir.ts'

const configured = (list: unknown, more: Record<string, string> = {}) =>
  parseConfig({
    REPLICATE_API_TOKEN: 'r8_first',
    REPLICATE_ACCOUNTS: typeof list === 'string' ? list : JSON.stringify(list),
    ...more,
  })

const refused = (list: unknown, more: Record<string, string> = {}): string => {
  try {
    configured(list, more)
  } catch (error) {
    if (error instanceof ConfigError) return error.message
    throw error
  }
  throw new Error('the configuration was taken')
}

const second = { name: 'second', token: 'r8_second' }

describe('accounts', () => {
  test('without a list there is one, with the variables of Replicate', () => {
    const config = parseConfig({ REPLICATE_API_TOKEN: 'r8_first', REPLICATE_CREATES_PER_MINUTE: '120' })
    expect(accountsOf(config)).toEqual([
      {
        name: 'default',
        token: 'r8_first',
        webhookSecret: null,
        createsPerMinute: 120,
        createBurst: 1,
        readsPerMinute: 3000,
        weight: 1,
        tenants: null,
        presets: null,
        dedicated: false,
      },
    ])
  })

  test('of a list follow it, each with its own budgets', () => {
    const config = configured([
      { ...second, webhook_secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', creates_per_minute: 60, weight: 0.5 },
      { name: 'default', presets: ['picture'] },
    ])
    expect(accountsOf(config)).toMatchObject([
      { name: 'default', token: 'r8_first', createsPerMinute: 600, presets: ['picture'] },
      { name: 'second', token: 'r8_second', createsPerMinute: 60, createBurst: 1, readsPerMinute: 3000, weight: 0.5 },
    ])
  })

  test.each<[string, unknown, RegExp]>([
    ['no JSON', '[{"token": "r8_hidden"', /^REPLICATE_ACCOUNTS: it is not JSON/],
    ['no list', { name: 'second' }, /a JSON list of 1 to 20 accounts/],
    ['an empty list', [], /a JSON list of 1 to 20 accounts/],
    ['no object', ['second'], /account 1: expected an object with name and token/],
    ['no name', [{ token: 'r8_hidden' }], /account 1: name: read nothing, expected a name of a-z/],
    ['a name with a colon', [{ ...second, name: 'a:b' }], /account 1 \(a:b\): name: read "a:b"/],
    [
      'a property that nobody knows',
      [{ ...second, budget: 3 }],
      /account 1 \(second\): budget is unknown. Known are name/,
    ],
    [
      'a rate of nothing',
      [{ ...second, creates_per_minute: 0 }],
      /creates_per_minute: read 0, expected a whole number/,
    ],
    ['a negative weight', [{ ...second, weight: -1 }], /weight: read -1, expected a number, 0.01 to 100/],
    ['a secret of another form', [{ ...second, webhook_secret: 'r8_hidden' }], /webhook_secret: read another text/],
    ['no token', [{ name: 'second' }], /account second: token: read nothing/],
    ['a name twice', [second, { ...second, token: 'r8_third' }], /the name second occurs twice/],
    ['the token of another account', [{ ...second, token: 'r8_first' }], /has the token of the account default/],
    ['a token for default', [{ name: 'default', token: 'r8_hidden' }], /account default: token is set by a variable/],
    ['dedicated to nobody', [{ ...second, dedicated: true }], /account second: dedicated needs tenants or presets/],
    [
      'no account for all others',
      [
        { ...second, tenants: ['acme'] },
        { name: 'default', presets: ['video'] },
      ],
      /every account has tenants or presets/,
    ],
  ])('the start is refused for %s, without showing a token', (_what, list, expected) => {
    const message = refused(list)
    expect(message).toMatch(expected)
    expect(message).not.toContain('r8_hidden')
  })

  test('need the account default, and come from one place', () => {
    expect(refused([second], { REPLICATE_API_TOKEN: '' })).toMatch(
      /^REPLICATE_API_TOKEN is not set. REPLICATE_ACCOUNTS needs it/,
    )
    const file = join(tempDir(), 'accounts.json')
    writeFileSync(file, '[{"name": 1}]')
    expect(refused([second], { REPLICATE_ACCOUNTS_FILE: file })).toMatch(/are both set/)
    expect(refused('', { REPLICATE_ACCOUNTS_FILE: file })).toMatch(/^REPLICATE_ACCOUNTS_FILE: account 1: name: read 1/)
    expect(refused('', { REPLICATE_ACCOUNTS_FILE: `${file}.none` })).toMatch(/^REPLICATE_ACCOUNTS_FILE: ENOENT/)
  })
})
