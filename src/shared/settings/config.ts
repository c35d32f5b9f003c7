import { resolve } from 'node:path'
import { patternProblem } from '../artifacts/rules/artifact-names.ts'
import { SECRET_VARIABLES, variables, variablesSchema, type Variables } from './config-variables.ts'
import { originsProblem, splitOrigins } from '../tenants/rules/cors-origins.ts'
import { burstOf, readAccounts, type ReplicateSettings } from './accounts.ts'
import { ConfigError, readEnvironment } from './environment.ts'
import { formatDuration } from '../values/duration.ts'
import { CLOCKS, FIRST_KEEP, type DeploymentKeep } from '../jobs/rules/keep.ts'
import { LOOPBACK_WEBHOOKS, type WebhookAllow } from '../notifications/rules/webhook-url.ts'
import type { Mailbox } from '../mail/rules/address.ts'
import type { Limits } from '../tenants/rules/tenant.ts'

/** Configuration, read once: arguments, then the environment, then `.env`. `.env.example` documents every variable. */

export { ConfigError } from './environment.ts'

const LOOPBACK = /^(localhost|127(?:\.\d{1,3}){3}|::1|\[::1\])$/

export const isLoopback = (host: string): boolean => LOOPBACK.test(host)

/** http origin of a listener for this machine; a listener on all addresses is reached by loopback. */
export function localOrigin(host: string, listens: number): string {
  const reached = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
  return `http://${reached.includes(':') ? `[${reached}]` : reached}:${listens}`
}

export interface Config {
  role: 'all' | 'api' | 'worker'
  /** Processes of the role that share its port. */
  processes: number
  host: string
  port: number
  healthPort: number | null
  /** absolute */
  dataDir: string
  redisUrl: string | null
  redisServerBin: string | null
  /** strict: accepted jobs and intents are on disk before a response or a request depends on them */
  durability: 'everysec' | 'strict'
  /** Allows a new deployment although DATA_DIR belongs to one that Redis does not hold. */
  newDeployment: boolean
  keyPrefix: string
  /** `token` null: the simulator. */
  replicate: ReplicateSettings & { baseUrl: string }
  publicUrl: string | null
  /** Proxies that are trusted for the client's address, scheme and host: `loopback`, addresses, CIDRs. */
  trustProxy: string[]
  devApiKey: string | null
  adminPassword: string | null
  /** absolute */
  presetsDir: string
  /** Whether tenants with limited credit can run jobs without a price. */
  unpricedModels: 'refuse' | 'allow'
  /** Jobs without a preset: `presets` runs those of a model that a preset serves under it, and refuses all others. */
  rawModels: 'allow' | 'presets' | 'deny'
  artifacts: {
    /** Storage for new files. */
    store: 'disk' | 's3'
    /** Limit of one output file. */
    maxBytes: number
    /** null: no bucket is configured. */
    bucket: {
      name: string
      /** '' for none */
      prefix: string
      pattern: string
      /** null: AWS's endpoint */
      endpoint: string | null
      region: string
      /** null: AWS's default credential chain */
      credentials: { accessKeyId: string; secretAccessKey: string } | null
      forcePathStyle: boolean
      /** Readers are redirected to the bucket; otherwise files pass through the api. */
      presigned: boolean
    } | null
  }
  /** Retention of jobs and their files. */
  keep: DeploymentKeep
  /** Limits of input files. */
  inputs: {
    /** Bytes of a decoded data URI. */
    fileBytes: number
    /** Bytes of all files of a job. */
    jobBytes: number
    /** Bytes of one upload. */
    uploadBytes: number
    /** Allowed media types, such as `image/*`. */
    types: string[]
  }
  /** Origins whose pages may use the API; none by default. */
  corsOrigins: string[]
  /** Hosts and addresses to which webhooks may be sent over http and in private networks. */
  webhookAllow: WebhookAllow
  /** null: no mail is sent. */
  mail: { url: string; from: Mailbox } | null
  /** Limits of tenants that have none set. */
  tenantLimits: Limits
  /** Bytes of the disk of `dataDir` that files of clients leave free. */
  diskReserve: number
  simulator: {
    port: number
    speed: number
    createsPerMinute: number | null
    readsPerMinute: number | null
    burst: number | null
  }
  logLevel: string
}

/** Functions that explain why a value is invalid. */
const reasons: Record<string, (value: string) => string | null> = {
  S3_KEY_PATTERN: patternProblem,
  CORS_ORIGINS: (value) => originsProblem(splitOrigins(value)),
}

function problem(name: string, value: string | undefined): string {
  const expected = Object.entries(variables).find(([known]) => known === name)?.[1].description
  const why = value === undefined ? null : (reasons[name]?.(value) ?? null)
  const read =
    value === undefined ? 'nothing' : SECRET_VARIABLES.has(name) ? `${value.length} characters` : JSON.stringify(value)
  return `${name}: read ${read}, expected ${expected ?? 'another value'}${why === null ? '' : `: ${why}`}`
}

/**
 * Parses a configuration from environment variables. Empty values count as unset. Throws a ConfigError that names each
 * invalid variable, the value that was read and the expected one.
 */
export function parseConfig(raw: Record<string, string | undefined>): Config {
  const given = Object.fromEntries(
    Object.entries(raw).filter(([, value]) => value !== undefined && value.trim() !== ''),
  )
  const parsed = variablesSchema.safeParse(given)
  if (!parsed.success) {
    const names = [...new Set(parsed.error.issues.map((issue) => String(issue.path[0])))]
    throw new ConfigError(names.map((name) => problem(name, given[name])).join('\n'))
  }
  const env = parsed.data
  const wrong: string[] = []
  if (env.ROLE !== 'all' && !env.REDIS_URL)
    wrong.push(`REDIS_URL is not set. ROLE=${env.ROLE} needs one, for example redis://host:6379`)
  if (env.ROLE !== 'all' && !env.REPLICATE_API_TOKEN)
    wrong.push(`REPLICATE_API_TOKEN is not set. ROLE=${env.ROLE} needs one, because only role all starts a simulator`)
  if (env.ROLE === 'all' && env.PROCESSES > 1)
    wrong.push(
      `PROCESSES: read ${env.PROCESSES}, expected 1 with ROLE=all, which is one process by definition. Start ROLE=api and ROLE=worker with their own PROCESSES`,
    )
  if (!isLoopback(env.HOST) && env.DEV_API_KEY && env.DEV_API_KEY.length < 32)
    wrong.push(
      `DEV_API_KEY: read ${env.DEV_API_KEY.length} characters, expected 32 or more because HOST is not loopback`,
    )
  if (!new URL(env.REPLICATE_BASE_URL).pathname.replace(/\/+$/, '').endsWith('/v1'))
    wrong.push(problem('REPLICATE_BASE_URL', env.REPLICATE_BASE_URL))
  if (env.ARTIFACT_STORE === 's3' && !env.S3_BUCKET) wrong.push(problem('S3_BUCKET', undefined))
  if (env.SMTP_URL && !env.MAIL_FROM) wrong.push(`${problem('MAIL_FROM', undefined)}, because SMTP_URL is set`)
  if (env.MAIL_FROM && !env.SMTP_URL) wrong.push(`${problem('SMTP_URL', undefined)}, because MAIL_FROM is set`)
  const halves = ['S3_ACCESS_KEY_ID', 'S3_SECRET_ACCESS_KEY'] as const
  if (halves.some((name) => env[name]))
    wrong.push(...halves.filter((name) => !env[name]).map((name) => problem(name, undefined)))
  const older = env.ALLOW_RAW_MODELS === undefined ? undefined : env.ALLOW_RAW_MODELS === 'true' ? 'allow' : 'deny'
  const rawModels = env.RAW_MODELS ?? older ?? 'allow'
  if (older !== undefined && older !== rawModels)
    wrong.push(
      `RAW_MODELS: read "${rawModels}", expected ${older}, because ALLOW_RAW_MODELS, its old name, is ${env.ALLOW_RAW_MODELS}. Remove ALLOW_RAW_MODELS`,
    )
  const kept = keepFrom(env)
  wrong.push(...kept.wrong)
  const accounts = readAccounts(
    { json: env.REPLICATE_ACCOUNTS, file: env.REPLICATE_ACCOUNTS_FILE, token: env.REPLICATE_API_TOKEN },
    wrong,
  )
  if (wrong.length > 0) throw new ConfigError(wrong.join('\n'))

  const perMinute = env.REPLICATE_CREATES_PER_MINUTE
  return {
    role: env.ROLE,
    processes: env.PROCESSES,
    host: env.HOST,
    port: env.PORT,
    healthPort: env.HEALTH_PORT ?? null,
    dataDir: resolve(env.DATA_DIR),
    redisUrl: env.REDIS_URL ?? null,
    redisServerBin: env.REDIS_SERVER_BIN ?? null,
    durability: env.DURABILITY,
    newDeployment: env.NEW_DEPLOYMENT === 'yes',
    keyPrefix: env.KEY_PREFIX,
    replicate: {
      token: env.REPLICATE_API_TOKEN ?? null,
      baseUrl: env.REPLICATE_BASE_URL.replace(/\/+$/, ''),
      webhookSecret: env.REPLICATE_WEBHOOK_SECRET ?? null,
      createsPerMinute: perMinute,
      // One second's worth absorbs the jitter of the workers and is negligible upstream.
      createBurst: env.REPLICATE_CREATE_BURST ?? burstOf(perMinute),
      readsPerMinute: env.REPLICATE_READS_PER_MINUTE,
      accounts,
    },
    publicUrl: env.PUBLIC_URL?.replace(/\/+$/, '') ?? null,
    trustProxy: env.TRUST_PROXY ?? [],
    devApiKey: env.DEV_API_KEY ?? null,
    adminPassword: env.ADMIN_PASSWORD ?? null,
    presetsDir: resolve(env.PRESETS_DIR),
    unpricedModels: env.UNPRICED_MODELS,
    rawModels,
    artifacts: { store: env.ARTIFACT_STORE, maxBytes: env.MAX_ARTIFACT_BYTES, bucket: bucketOf(env) },
    keep: kept.keep,
    inputs: {
      fileBytes: env.MAX_INPUT_FILE_BYTES,
      jobBytes: env.MAX_JOB_INPUT_BYTES,
      uploadBytes: env.MAX_UPLOAD_BYTES,
      types: env.UPLOAD_TYPES,
    },
    corsOrigins: env.CORS_ORIGINS,
    // With the simulator, receivers are programs of this machine.
    webhookAllow: env.WEBHOOK_ALLOW ?? (env.REPLICATE_API_TOKEN ? { hosts: [], ranges: [] } : LOOPBACK_WEBHOOKS),
    mail: env.SMTP_URL && env.MAIL_FROM ? { url: env.SMTP_URL, from: env.MAIL_FROM } : null,
    tenantLimits: {
      mails_per_hour: env.TENANT_MAILS_PER_HOUR,
      requests_per_minute: env.TENANT_REQUESTS_PER_MINUTE,
      queued_jobs: env.TENANT_QUEUED_JOBS,
      ...(env.TENANT_STORED_BYTES === undefined ? {} : { stored_bytes: env.TENANT_STORED_BYTES }),
      ...(env.TENANT_BATCH_JOBS === undefined ? {} : { batch_jobs: env.TENANT_BATCH_JOBS }),
      ...(env.TENANT_STORED_FILES === undefined ? {} : { stored_files: env.TENANT_STORED_FILES }),
    },
    diskReserve: env.DISK_RESERVE,
    simulator: {
      port: env.SIMULATOR_PORT,
      speed: env.SIMULATOR_SPEED,
      createsPerMinute: env.SIMULATOR_CREATES_PER_MINUTE ?? null,
      readsPerMinute: env.SIMULATOR_READS_PER_MINUTE ?? null,
      burst: env.SIMULATOR_BURST ?? null,
    },
    logLevel: env.LOG_LEVEL,
  }
}

/** Retention with defaults: files as long as the record, the payload a day at most; the maxima default to these values. */
function keepFrom(env: Variables): { keep: DeploymentKeep; wrong: string[] } {
  const job = env.KEEP_JOB ?? Math.min(FIRST_KEEP.job, env.KEEP_FILES ?? Infinity)
  const usual = {
    payload: env.KEEP_PAYLOAD ?? Math.min(FIRST_KEEP.payload, job),
    job,
    files: env.KEEP_FILES ?? Math.max(FIRST_KEEP.files, job),
  }
  const max = {
    payload: env.KEEP_PAYLOAD_MAX ?? usual.payload,
    job: env.KEEP_JOB_MAX ?? usual.job,
    files: env.KEEP_FILES_MAX ?? Math.max(usual.files, env.KEEP_JOB_MAX ?? 0),
  }
  const wrong: string[] = []
  const expect = (fits: boolean, name: string, seconds: number, than: string, other: number): void => {
    if (!fits) wrong.push(`${name}: read ${formatDuration(seconds)}, expected ${than} (${formatDuration(other)})`)
  }
  expect(usual.payload <= usual.job, 'KEEP_PAYLOAD', usual.payload, 'KEEP_JOB or less', usual.job)
  expect(usual.files >= usual.job, 'KEEP_FILES', usual.files, 'KEEP_JOB or more', usual.job)
  for (const clock of CLOCKS) {
    const name = `KEEP_${clock.toUpperCase()}`
    expect(max[clock] >= usual[clock], `${name}_MAX`, max[clock], `${name} or more`, usual[clock])
  }
  if (wrong.length === 0) expect(max.files >= max.job, 'KEEP_FILES_MAX', max.files, 'KEEP_JOB_MAX or more', max.job)
  return { keep: { usual, max }, wrong }
}

function bucketOf(env: Variables): Config['artifacts']['bucket'] {
  const { S3_BUCKET: name, S3_ACCESS_KEY_ID: accessKeyId, S3_SECRET_ACCESS_KEY: secretAccessKey } = env
  if (name === undefined) return null
  const endpoint = env.S3_ENDPOINT?.replace(/\/+$/, '') ?? null
  return {
    name,
    prefix: env.S3_PREFIX ?? '',
    pattern: env.S3_KEY_PATTERN,
    endpoint,
    region: env.S3_REGION,
    credentials: accessKeyId && secretAccessKey ? { accessKeyId, secretAccessKey } : null,
    // A self-hosted server has no host name per bucket.
    forcePathStyle: env.S3_FORCE_PATH_STYLE === undefined ? endpoint !== null : env.S3_FORCE_PATH_STYLE === 'true',
    presigned: env.S3_DOWNLOADS === 'presigned',
  }
}

/** Names of all variables that are set. */
export const setVariables = (): string[] =>
  Object.entries(readEnvironment()).flatMap(([name, value]) => (value?.trim() ? [name] : []))

/** Loads the configuration; `overrides` win over the environment, which wins over `.env` in the working folder. */
export function loadConfig(overrides: Record<string, string | undefined> = {}): Config {
  return parseConfig({ ...readEnvironment(), ...overrides })
}
