import { parseArgs } from 'node:util'
import { splitOrigins } from '../shared/tenants/rules/cors-origins.ts'
import type { Keep } from '../shared/jobs/rules/keep.ts'
import type { TenantAdmin } from '../shared/tenants/tenant-admin.ts'
import { newTenantSchema, tenantChangeSchema } from '../shared/tenants/rules/tenant-requests.ts'
import { tenantViews } from '../shared/tenants/tenant-view.ts'
import { withoutNulls } from '../shared/tenants/rules/tenant-requests.ts'
import type { Limits, Tenant } from '../shared/tenants/rules/tenant.ts'
import type { Command } from './command.ts'
import { runOperatorCommand } from './run-operator-command.ts'
import { printRecords } from './print-records.ts'
import { everyPage, readLimit, readRequest } from './read-options.ts'

const HELP = `Usage: genqueue tenants <action> [options]

  list                 lists all tenants
  create <id>          creates a tenant; a repeated command with the same settings changes nothing
  show <id>            shows a tenant
  limits <id>          changes the limits of a tenant; limits that are not named stay
  origins <id>         sets from which of CORS_ORIGINS a browser may use the tenant's keys
  keep <id>            changes how long jobs and files of a tenant are kept; times that are not named stay
  suspend <id>         refuses all keys of a tenant; accepted jobs continue
  resume <id>          ends a suspension

  --title <text>               title of the new tenant (default: its id)
  --requests-per-minute <n>    a number, or "default" for the deployment's setting, as in the next three
  --queued-jobs <n>            limit of queued jobs
  --stored-bytes <n>           limit of stored uploads and outputs, in bytes
  --stored-files <n>           limit of stored uploads and outputs, in files
  --cors-origins <list>        origins separated by commas, "none", or "default" for all of CORS_ORIGINS
  --keep-payload <time>        how long input and output are kept after completion, such as 24h; or "default"
  --keep-job <time>            how long records of jobs are kept, such as 30d; or "default"
  --keep-files <time>          how long files are kept, such as 90d, or "forever"; or "default"
  --json                       prints each tenant as a line of JSON

Works directly on Redis; the service need not be running.

Exit codes: 0 done, 2 invalid command, 3 Redis cannot be reached, 4 refused (the tenant does not exist, or exists with
other settings).
`

export interface TenantOptions {
  title?: string | undefined
  requestsPerMinute?: number | null | undefined
  queuedJobs?: number | null | undefined
  storedBytes?: number | null | undefined
  storedFiles?: number | null | undefined
  corsOrigins?: string | undefined
  keep?: { [Clock in keyof Keep]?: string | null | undefined }
}

const limitsOf = ({ requestsPerMinute, queuedJobs, storedBytes, storedFiles }: TenantOptions) => ({
  requests_per_minute: requestsPerMinute,
  queued_jobs: queuedJobs,
  stored_bytes: storedBytes,
  stored_files: storedFiles,
})

/** `default`: the deployment's configuration. */
const orDefault = (text: string | undefined): string | null | undefined => (text === 'default' ? null : text)

type TenantAction = (admin: TenantAdmin, id: string, options: TenantOptions) => Promise<Tenant[]>

/** Commands for tenants. Each returns the tenants to show. */
export const TENANT_ACTIONS: Record<string, TenantAction> = {
  list: (admin) => everyPage(admin.tenants),

  async create(admin, id, options) {
    const { title, limits, keep } = readRequest(newTenantSchema, {
      id,
      title: options.title,
      limits: limitsOf(options),
      keep: options.keep,
    })
    const { requests_per_minute = null, queued_jobs = null, stored_bytes = null, stored_files = null } = limits
    const made = await admin.createTenant({
      id,
      title: title ?? id,
      limits: { requests_per_minute, queued_jobs, stored_bytes, stored_files },
      keep: withoutNulls(keep),
    })
    return [made.tenant]
  },

  show: async (admin, id) => [await admin.tenant(id)],
  limits: async (admin, id, options) => [
    await admin.changeTenant(id, readRequest(tenantChangeSchema, { limits: limitsOf(options) })),
  ],
  origins: async (admin, id, { corsOrigins }) => {
    if (corsOrigins === undefined) throw new Error('--cors-origins is missing')
    const cors_origins = corsOrigins === 'default' ? null : corsOrigins === 'none' ? [] : splitOrigins(corsOrigins)
    return [await admin.changeTenant(id, readRequest(tenantChangeSchema, { cors_origins }))]
  },
  keep: async (admin, id, options) => [
    await admin.changeTenant(id, readRequest(tenantChangeSchema, { keep: options.keep ?? {} })),
  ],
  suspend: async (admin, id) => [await admin.changeTenant(id, { suspended: true })],
  resume: async (admin, id) => [await admin.changeTenant(id, { suspended: false })],
}

type Views = Awaited<ReturnType<typeof tenantViews>>

function print(views: Views, json: boolean): void {
  const limit = (name: keyof Limits) => (view: Views[number]) =>
    `${view.limits[name] ?? 'none'}${view.own_limits[name] === null ? ' (default)' : ''}`
  printRecords(views, {
    json,
    columns: {
      id: ({ id }) => id,
      title: ({ title }) => title,
      'requests/min': limit('requests_per_minute'),
      'queued jobs': limit('queued_jobs'),
      'stored bytes': (view) => `${view.stored.bytes}, limit ${limit('stored_bytes')(view)}`,
      'stored files': (view) => `${view.stored.files}, limit ${limit('stored_files')(view)}`,
      origins: ({ cors_origins }) => (cors_origins === null ? 'default' : cors_origins.join(', ') || 'none'),
      'keep (payload job files)': ({ keep }) =>
        [keep.payload, keep.job, keep.files].map((clock) => clock ?? 'default').join(' '),
      created: ({ created_at }) => created_at,
      suspended: ({ suspended_at }) => suspended_at,
    },
  })
}

export const tenantsCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      strict: true,
      options: {
        title: { type: 'string' },
        'requests-per-minute': { type: 'string' },
        'queued-jobs': { type: 'string' },
        'stored-bytes': { type: 'string' },
        'stored-files': { type: 'string' },
        'cors-origins': { type: 'string' },
        'keep-payload': { type: 'string' },
        'keep-job': { type: 'string' },
        'keep-files': { type: 'string' },
        json: { type: 'boolean', default: false },
      },
    })
    const [name = '', id, ...rest] = positionals
    const action = Object.hasOwn(TENANT_ACTIONS, name) ? TENANT_ACTIONS[name] : undefined
    if (action === undefined || rest.length > 0 || (id === undefined) !== (name === 'list')) throw new Error(HELP)
    const options = {
      title: values.title,
      requestsPerMinute: readLimit('requests-per-minute', values['requests-per-minute']),
      queuedJobs: readLimit('queued-jobs', values['queued-jobs']),
      storedBytes: readLimit('stored-bytes', values['stored-bytes'], 15),
      storedFiles: readLimit('stored-files', values['stored-files'], 15),
      corsOrigins: values['cors-origins'],
      keep: {
        payload: orDefault(values['keep-payload']),
        job: orDefault(values['keep-job']),
        files: orDefault(values['keep-files']),
      },
    }
    return runOperatorCommand(async ({ tenants }, { tenantLimits }) => {
      print(await tenantViews(tenants, await action(tenants, id ?? '', options), tenantLimits), values.json)
      return 0
    })
  },
}
