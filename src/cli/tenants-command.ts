import { splitOrigins } from '../shared/tenants/rules/cors-origins.ts'
import type { Keep } from '../shared/jobs/rules/keep.ts'
import type { TenantAdmin } from '../shared/tenants/tenant-admin.ts'
import { newTenantSchema, tenantChangeSchema } from '../shared/tenants/rules/tenant-requests.ts'
import { tenantViews } from '../shared/tenants/tenant-view.ts'
import { withoutNulls } from '../shared/tenants/rules/tenant-requests.ts'
import type { Limits, Tenant } from '../shared/tenants/rules/tenant.ts'
import { Option, type Command } from 'commander'
import { addAction, describeOperator, type DefineCommand } from './command.ts'
import { EXIT } from './failures.ts'
import { runOperatorCommand } from './run-operator-command.ts'
import { printRecords } from './print-records.ts'
import { everyPage, readLimit, readRequest } from './read-options.ts'

export interface TenantOptions {
  title?: string | undefined
  requestsPerMinute?: number | null | undefined
  queuedJobs?: number | null | undefined
  storedBytes?: number | null | undefined
  storedFiles?: number | null | undefined
  mailsPerHour?: number | null | undefined
  batchJobs?: number | null | undefined
  mailToMetadata?: string | undefined
  corsOrigins?: string | undefined
  keep?: { [Clock in keyof Keep]?: string | null | undefined }
}

const limitsOf = ({
  requestsPerMinute,
  queuedJobs,
  storedBytes,
  storedFiles,
  mailsPerHour,
  batchJobs,
}: TenantOptions) => ({
  requests_per_minute: requestsPerMinute,
  queued_jobs: queuedJobs,
  stored_bytes: storedBytes,
  stored_files: storedFiles,
  mails_per_hour: mailsPerHour,
  batch_jobs: batchJobs,
})

type TenantAction = (admin: TenantAdmin, id: string, options: TenantOptions) => Promise<Tenant[]>
type TenantActionName = keyof typeof TENANT_ACTIONS

/** Commands for tenants. Each returns the tenants to show. */
export const TENANT_ACTIONS = {
  list: (admin) => everyPage(admin.tenants),

  async create(admin, id, options) {
    const { title, limits, keep } = readRequest(newTenantSchema, {
      id,
      title: options.title,
      limits: limitsOf(options),
      keep: options.keep,
    })
    const {
      requests_per_minute = null,
      queued_jobs = null,
      stored_bytes = null,
      stored_files = null,
      mails_per_hour = null,
      batch_jobs = null,
    } = limits
    const made = await admin.createTenant({
      id,
      title: title ?? id,
      limits: { requests_per_minute, queued_jobs, stored_bytes, stored_files, mails_per_hour, batch_jobs },
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
  mail: async (admin, id, { mailToMetadata }) => {
    if (mailToMetadata === undefined) throw new Error('--to-metadata is missing')
    return [await admin.changeTenant(id, { mail_to_metadata: mailToMetadata === 'yes' })]
  },
  keep: async (admin, id, options) => [
    await admin.changeTenant(id, readRequest(tenantChangeSchema, { keep: options.keep ?? {} })),
  ],
  suspend: async (admin, id) => [await admin.changeTenant(id, { suspended: true })],
  resume: async (admin, id) => [await admin.changeTenant(id, { suspended: false })],
} satisfies Record<string, TenantAction>

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
      'mails/hour': (view) => `${limit('mails_per_hour')(view)}${view.mail_to_metadata ? ', also to metadata' : ''}`,
      'batch jobs': limit('batch_jobs'),
      origins: ({ cors_origins }) => (cors_origins === null ? 'default' : cors_origins.join(', ') || 'none'),
      'keep (payload job files)': ({ keep }) =>
        [keep.payload, keep.job, keep.files].map((clock) => clock ?? 'default').join(' '),
      created: ({ created_at }) => created_at,
      suspended: ({ suspended_at }) => suspended_at,
    },
  })
}

interface Given {
  title?: string
  requestsPerMinute?: string
  queuedJobs?: string
  storedBytes?: string
  storedFiles?: string
  mailsPerHour?: string
  batchJobs?: string
  toMetadata?: string
  corsOrigins?: string
  keepPayload?: string
  keepJob?: string
  keepFiles?: string
  json?: boolean
}

/** `default`: null, the deployment's configuration. */
const orDefault = (text: string | undefined): string | null | undefined => (text === 'default' ? null : text)

// Read here: commander takes null from a custom parser as "no value".
const optionsOf = (given: Given): TenantOptions => ({
  title: given.title,
  requestsPerMinute: readLimit('requests-per-minute', given.requestsPerMinute),
  queuedJobs: readLimit('queued-jobs', given.queuedJobs),
  storedBytes: readLimit('stored-bytes', given.storedBytes, 15),
  storedFiles: readLimit('stored-files', given.storedFiles, 15),
  mailsPerHour: readLimit('mails-per-hour', given.mailsPerHour),
  batchJobs: readLimit('batch-jobs', given.batchJobs),
  mailToMetadata: given.toMetadata,
  corsOrigins: given.corsOrigins,
  keep: {
    payload: orDefault(given.keepPayload),
    job: orDefault(given.keepJob),
    files: orDefault(given.keepFiles),
  },
})

const withLimits = (command: Command): Command =>
  command
    .option('--requests-per-minute <n>', 'a number, or "default" for the deployment\'s setting, as in the next five')
    .option('--queued-jobs <n>', 'limit of queued jobs')
    .option('--stored-bytes <n>', 'limit of stored uploads and outputs, in bytes')
    .option('--stored-files <n>', 'limit of stored uploads and outputs, in files')
    .option('--mails-per-hour <n>', 'limit of mails that are sent within an hour')
    .option('--batch-jobs <n>', 'limit of jobs of one batch')

const withKeep = (command: Command): Command =>
  command
    .option('--keep-payload <time>', 'how long input and output are kept after completion, such as 24h; or "default"')
    .option('--keep-job <time>', 'how long records of jobs are kept, such as 30d; or "default"')
    .option('--keep-files <time>', 'how long files are kept, such as 90d, or "forever"; or "default"')

export const tenantsCommand: DefineCommand = (tenants, finish) => {
  describeOperator(
    tenants,
    'Creates, changes, suspends and shows tenants.',
    '0 done, 2 invalid command, 3 Redis cannot be reached, 4 refused (the tenant does not exist, or exists with other settings).',
  )
  const run = async (name: TenantActionName, id: string, given: Given): Promise<void> => {
    const options = optionsOf(given)
    finish(
      await runOperatorCommand(async ({ tenants: admin }, { tenantLimits }) => {
        const found = await TENANT_ACTIONS[name](admin, id, options)
        print(await tenantViews(admin, found, tenantLimits), given.json ?? false)
        return EXIT.ok
      }),
    )
  }
  const action = (name: TenantActionName, summary: string): Command =>
    addAction(tenants, name, summary).option('--json', 'print each tenant as a line of JSON')
  const about = (name: TenantActionName, summary: string): Command =>
    action(name, summary)
      .argument('<id>')
      .action((id: string, given: Given) => run(name, id, given))

  action('list', 'lists all tenants').action((given: Given) => run('list', '', given))
  withKeep(
    withLimits(about('create', 'creates a tenant; a repeated command with the same settings changes nothing')),
  ).option('--title <text>', 'title of the tenant (default: its id)')
  about('show', 'shows a tenant')
  withLimits(about('limits', 'changes the limits of a tenant; limits that are not named stay'))
  about('origins', "sets from which of CORS_ORIGINS a browser may use the tenant's keys").option(
    '--cors-origins <list>',
    'origins separated by commas, "none", or "default" for all of CORS_ORIGINS',
  )
  about('mail', 'sets whether endpoints of a tenant may send mail to addresses in the metadata of jobs').addOption(
    new Option('--to-metadata <answer>', 'yes or no').choices(['yes', 'no']),
  )
  withKeep(about('keep', 'changes how long jobs and files of a tenant are kept; times that are not named stay'))
  about('suspend', 'refuses all keys of a tenant; accepted jobs continue')
  about('resume', 'ends a suspension')
}
