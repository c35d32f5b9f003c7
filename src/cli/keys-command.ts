import type { MadeKey, TenantAdmin } from '../shared/tenants/tenant-admin.ts'
import { newKeySchema, rotationSchema } from '../shared/tenants/rules/tenant-requests.ts'
import { keyView } from '../shared/tenants/tenant-view.ts'
import { SCOPES, USUAL_SCOPES, type ApiKey } from '../shared/tenants/rules/tenant.ts'
import type { Command } from 'commander'
import { addAction, describeOperator, type DefineCommand } from './command.ts'
import { EXIT } from './failures.ts'
import { once } from './once.ts'
import { runOperatorCommand } from './run-operator-command.ts'
import { printRecords } from './print-records.ts'
import { everyPage, readDuration, readRequest } from './read-options.ts'
import { note, printJson, printLine } from './terminal.ts'

export interface KeyOptions {
  title?: string | undefined
  scopes?: string[] | undefined
  /** s from now; null: never */
  expires?: number | null | undefined
  /** s */
  grace?: number | undefined
  idempotencyKey?: string | undefined
}

async function expiryOf(admin: TenantAdmin, { expires }: KeyOptions): Promise<string | null | undefined> {
  return expires === null || expires === undefined
    ? expires
    : new Date((await admin.now()) + expires * 1000).toISOString()
}

/** Commands that create a key, whose text is shown only once. */
export const MAKING_ACTIONS = {
  async create(admin, tenant, options) {
    const { title, scopes, expires = null } = options
    const request = readRequest(newKeySchema, { title, scopes, expires_at: await expiryOf(admin, options) })
    // The lifetime as typed: a repeated command computes a different time of expiry.
    const body = { title: request.title, scopes: request.scopes, expires }
    return once(options.idempotencyKey, (key) => admin.createKey(tenant, request, { key, body }))
  },
  async rotate(admin, key, options) {
    const request = { grace: options.grace, expires_at: await expiryOf(admin, options) }
    return admin.rotateKey(null, key, readRequest(rotationSchema, request))
  },
} satisfies Record<string, (admin: TenantAdmin, of: string, options: KeyOptions) => Promise<MadeKey>>

/** Commands for existing keys. Each returns the keys to show. */
export const KEY_ACTIONS = {
  list: (admin, tenant) => everyPage((page) => admin.keys(tenant, page)),
  revoke: async (admin, key) => [await admin.revokeKey(null, key)],
} satisfies Record<string, (admin: TenantAdmin, of: string) => Promise<ApiKey[]>>

function printKeys(keys: ApiKey[], now: number, json: boolean): void {
  printRecords(
    keys.map((key) => keyView(key, now)),
    {
      json,
      columns: {
        id: ({ id }) => id,
        tenant: ({ tenant }) => tenant,
        title: ({ title }) => title,
        scopes: ({ scopes }) => scopes,
        state: ({ state }) => state,
        created: ({ created_at }) => created_at,
        expires: ({ expires_at }) => expires_at,
        'last used': ({ last_used_at }) => last_used_at,
      },
    },
  )
}

function printMade({ record, key }: MadeKey, json: boolean): void {
  const view = keyView(record, record.created_at)
  if (json) {
    printJson({ ...view, key })
    return
  }
  printLine(key)
  note(
    `Key ${record.id} of ${record.tenant}, ${record.scopes.join(' ')}, expires ${view.expires_at ?? 'never'}. It cannot be shown again.`,
  )
}

interface Given {
  title?: string
  scopes?: string
  expires?: string
  grace?: string
  idempotencyKey?: string
  json?: boolean
}

// Read here: commander takes null from a custom parser as "no value".
const optionsOf = ({ title, scopes, expires, grace, idempotencyKey }: Given): KeyOptions => ({
  title,
  scopes: scopes?.split(','),
  expires: expires === 'never' ? null : expires === undefined ? undefined : readDuration('expires', expires),
  grace: grace === undefined ? undefined : readDuration('grace', grace),
  idempotencyKey,
})

const withJson = (command: Command): Command =>
  command.option('--json', 'print each key as a line of JSON; a new key has its text in "key"')

export const keysCommand: DefineCommand = (keys, finish) => {
  describeOperator(
    keys,
    'Creates, rotates, revokes and shows API keys.',
    '0 done, 2 invalid command, 3 Redis cannot be reached, 4 refused (the tenant or key does not exist; the key has expired, was revoked, or was already created or rotated).',
  )
  const show = (name: keyof typeof KEY_ACTIONS, of: string, summary: string): void => {
    const command = withJson(addAction(keys, name, summary).argument(of))
    command.action(async (id: string, { json = false }: Given) => {
      finish(
        await runOperatorCommand(async ({ tenants }) => {
          printKeys(await KEY_ACTIONS[name](tenants, id), await tenants.now(), json)
          return EXIT.ok
        }),
      )
    })
  }
  const make = (name: keyof typeof MAKING_ACTIONS, of: string, summary: string): Command => {
    const command = withJson(addAction(keys, name, summary).argument(of))
    return command.action(async (id: string, { json = false, ...given }: Given) => {
      const options = optionsOf(given)
      finish(
        await runOperatorCommand(async ({ tenants }) => {
          printMade(await MAKING_ACTIONS[name](tenants, id, options), json)
          return EXIT.ok
        }),
      )
    })
  }
  show('list', '<tenant>', 'lists the keys of a tenant, newest first')
  make('create', '<tenant>', 'creates a key and prints its text once, alone on stdout')
    .option('--title <text>', 'title of the key')
    .option('--scopes <a,b>', `scopes of the key, from ${SCOPES.join(', ')} (default: ${USUAL_SCOPES.join(',')})`)
    .option('--expires <time>', 'lifetime of the key: 90d, 12h, 30m, 45s, or "never" (default: never)')
    .option(
      '--idempotency-key <text>',
      'a repeated command with the same value creates no second key (default: random; the error contains it when Redis does not respond)',
    )
  make(
    'rotate',
    '<key-id>',
    'creates a successor of a key; the old key stays valid for the grace period, and a key is rotated once',
  )
    .option('--grace <time>', 'how long the old key stays valid (default: 1d)')
    .option('--expires <time>', 'lifetime of the new key, or "never" (default: the lifetime of the old key)')
  show('revoke', '<key-id>', 'invalidates a key, its sessions and its job tokens at once')
}
