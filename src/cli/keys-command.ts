import { parseArgs } from 'node:util'
import type { MadeKey, TenantAdmin } from '../shared/tenants/tenant-admin.ts'
import { newKeySchema, rotationSchema } from '../shared/tenants/rules/tenant-requests.ts'
import { keyView } from '../shared/tenants/tenant-view.ts'
import { SCOPES, USUAL_SCOPES, type ApiKey } from '../shared/tenants/rules/tenant.ts'
import type { Command } from './command.ts'
import { once } from './once.ts'
import { runOperatorCommand } from './run-operator-command.ts'
import { printRecords } from './print-records.ts'
import { everyPage, readDuration, readRequest } from './read-options.ts'
import { note, printJson, printLine } from './terminal.ts'

const HELP = `Usage: genqueue keys <action> [options]

  list <tenant>        lists the keys of a tenant, newest first
  create <tenant>      creates a key and prints its text once, alone on stdout
  rotate <key id>      creates a successor of a key; the old key stays valid for the grace period. A key is rotated once
  revoke <key id>      invalidates a key, its sessions and its job tokens at once

  --title <text>       title of the new key
  --scopes <a,b>       scopes of the new key, from ${SCOPES.join(', ')} (default: ${USUAL_SCOPES.join(',')})
  --expires <time>     lifetime of the new key: 90d, 12h, 30m, 45s, or "never" (default of create: never; default of
                       rotate: the lifetime of the old key)
  --grace <time>       rotate: how long the old key stays valid (default: 1d)
  --idempotency-key <text>
                       create: a repeated command with the same value creates no second key (default: random; the error
                       contains it when Redis does not respond)
  --json               prints each key as a line of JSON; a new key has its text in "key"

Works directly on Redis; the service need not be running.

Exit codes: 0 done, 2 invalid command, 3 Redis cannot be reached, 4 refused (the tenant or key does not exist; the key has
expired, was revoked, or was already created or rotated).
`

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
export const MAKING_ACTIONS: Record<string, (admin: TenantAdmin, of: string, options: KeyOptions) => Promise<MadeKey>> =
  {
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
  }

/** Commands for existing keys. Each returns the keys to show. */
export const KEY_ACTIONS: Record<string, (admin: TenantAdmin, of: string) => Promise<ApiKey[]>> = {
  list: (admin, tenant) => everyPage((page) => admin.keys(tenant, page)),
  revoke: async (admin, key) => [await admin.revokeKey(null, key)],
}

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

export const keysCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      strict: true,
      options: {
        title: { type: 'string' },
        scopes: { type: 'string' },
        expires: { type: 'string' },
        grace: { type: 'string' },
        'idempotency-key': { type: 'string' },
        json: { type: 'boolean', default: false },
      },
    })
    const [name = '', of, ...rest] = positionals
    const making = Object.hasOwn(MAKING_ACTIONS, name) ? MAKING_ACTIONS[name] : undefined
    const action = Object.hasOwn(KEY_ACTIONS, name) ? KEY_ACTIONS[name] : undefined
    if (of === undefined || rest.length > 0) throw new Error(HELP)
    const { title, scopes, expires, grace } = values
    const options: KeyOptions = {
      title,
      scopes: scopes?.split(','),
      expires: expires === 'never' ? null : expires === undefined ? undefined : readDuration('expires', expires),
      grace: grace === undefined ? undefined : readDuration('grace', grace),
      idempotencyKey: values['idempotency-key'],
    }
    return runOperatorCommand(async ({ tenants }) => {
      if (making) printMade(await making(tenants, of, options), values.json)
      else if (action) printKeys(await action(tenants, of), await tenants.now(), values.json)
      else throw new Error(HELP)
      return 0
    })
  },
}
