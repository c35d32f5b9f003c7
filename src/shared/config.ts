import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { BUCKET_PATTERN, patternProblem } from './artifacts/artifact-names.ts'
import { originsProblem, splitOrigins } from './cors-origins.ts'
import { ConfigError, readEnvironment } from './environment.ts'
import { TYPE_PATTERN } from './inputs/media-type.ts'
import { formatDuration, parseDuration } from './duration.ts'
import { CLOCKS, FIRST_KEEP, KEEP_BOUNDS, type DeploymentKeep, type Keep } from './jobs/keep.ts'
import type { Limits } from './tenants/tenant.ts'
import { readTrustedProxies } from './trusted-proxies.ts'

/** Configuration, read once: arguments, then the environment, then `.env`. `.env.example` documents every variable. */

export { ConfigError } from './environment.ts'

const LOOPBACK = /^(localhost|127(?:\.\d{1,3}){3}|::1|\[::1\])$/

export const isLoopback = (host: string): boolean => LOOPBACK.test(host)

/** http origin of a listener for this machine; a listener on all addresses is reached by loopback. */
export function localOrigin(host: string, listens: number): string {
  const reached = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
  return `http://${reached.includes(':') ? `[${reached}]` : reached}:${listens}`
}

const port = (name: string) =>
  z.coerce
    .number({ error: `${name}: a port number, 0 to 65535` })
    .int()
    .min(0)
    .max(65_535)
const MAX_RATE = 1_000_000
const MAX_BURST = 10_000
const MAX_BYTES = 10 * 1024 ** 3
const rate = z.coerce.number().int().min(1).max(MAX_RATE)
const size = z.coerce.number().int().min(1).max(MAX_BYTES)
const stored = z.coerce.number().int().min(1).max(Number.MAX_SAFE_INTEGER)
const STORED_WORDS = `a whole number, 1 to ${Number.MAX_SAFE_INTEGER}`
const RATE_WORDS = `a whole number, 1 to ${MAX_RATE}`
const SIZE_WORDS = `a number of bytes, 1 to ${MAX_BYTES}`

/** URL parts that the service does not use, so that setting one is a mistake. */
type UrlPart = 'path' | 'query' | 'credentials'
const url = (protocols: RegExp, ...without: UrlPart[]) =>
  z.url({ protocol: protocols }).refine((text) => {
    const parsed = URL.parse(text)
    // The schema itself refuses a text that is no URL.
    if (parsed === null) return true
    const { pathname, search, hash, username, password } = parsed
    const has = { path: pathname.length > 1, query: search + hash !== '', credentials: username + password !== '' }
    return without.every((part) => !has[part])
  })

/** Retention period, in seconds. */
function keep(clock: keyof Keep) {
  const { min, max, forever } = KEEP_BOUNDS[clock]
  const bounds = `${formatDuration(min)} to ${formatDuration(max)}${forever ? ', or forever' : ''}`
  return z
    .string()
    .transform((text) => (forever && text === 'forever' ? Infinity : (parseDuration(text) ?? NaN)))
    .refine((seconds) => seconds === Infinity || (seconds >= min && seconds <= max))
    .optional()
    .describe(`a whole number with s, m, h or d: ${bounds}${forever ? '' : ' (forever is for files only)'}`)
}

/** In base64 they must fit into a body (api/take-files.ts). */
const MAX_DATA_URI_BYTES = 47 * 1024 * 1024

const UPLOAD_TYPES =
  'image/*, audio/*, video/*, model/*, text/plain, text/csv, application/json, application/pdf, application/zip'

/** The presets that come with genqueue. */
const OWN_PRESETS = fileURLToPath(new URL('../../presets', import.meta.url))

const variables = {
  ROLE: z.enum(['all', 'api', 'worker']).default('all').describe('all, api or worker'),
  HOST: z.string().min(1).default('127.0.0.1').describe('an address to listen on, e.g. 127.0.0.1 or 0.0.0.0'),
  PORT: port('PORT').default(3000).describe('a port number, 0 to 65535 (0: any free one)'),
  HEALTH_PORT: port('HEALTH_PORT').optional().describe('a port number for the health of a worker, 0 to 65535'),
  DATA_DIR: z.string().min(1).default('.data').describe('a folder'),
  REDIS_URL: url(/^rediss?$/)
    .refine((text) => /^\/?\d{0,5}$/.test(URL.parse(text)?.pathname ?? ''))
    .optional()
    .describe('redis://host:port or rediss://host:port, optionally with a database number as its path'),
  REDIS_SERVER_BIN: z.string().min(1).optional().describe('the path of a redis-server, 7.0 or newer'),
  DURABILITY: z.enum(['everysec', 'strict']).default('everysec').describe('everysec or strict'),
  NEW_DEPLOYMENT: z.enum(['yes', 'no']).default('no').describe('yes or no'),
  KEY_PREFIX: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,40}$/)
    .default('genqueue')
    .describe('1 to 40 characters of A-Z a-z 0-9 _ -'),
  REPLICATE_API_TOKEN: z.string().min(1).optional().describe('a token of your Replicate account'),
  REPLICATE_BASE_URL: url(/^https?$/, 'query', 'credentials')
    .default('https://api.replicate.com/v1')
    .describe('an http(s) URL that ends in /v1'),
  REPLICATE_WEBHOOK_SECRET: z
    .string()
    .regex(/^whsec_[A-Za-z0-9+/=]{16,}$/)
    .optional()
    .describe('whsec_ and base64; unset it to fetch it from Replicate'),
  REPLICATE_CREATES_PER_MINUTE: rate.default(600).describe(RATE_WORDS),
  REPLICATE_CREATE_BURST: z.coerce
    .number()
    .int()
    .min(1)
    .max(MAX_BURST)
    .optional()
    .describe(`a whole number, 1 to ${MAX_BURST}`),
  REPLICATE_READS_PER_MINUTE: rate.default(3000).describe(RATE_WORDS),
  PUBLIC_URL: url(/^https?$/, 'path', 'query', 'credentials')
    .optional()
    .describe('the http(s) URL at which Replicate reaches this service, without a path'),
  TRUST_PROXY: z
    .string()
    .transform((list, context) => {
      const entries = readTrustedProxies(list)
      if (entries === null) context.addIssue({ code: 'custom', message: 'not a list of addresses' })
      return entries ?? []
    })
    .optional()
    .describe(
      'a comma-separated list of loopback, addresses or CIDRs of your proxies, such as 10.0.0.5, 172.16.0.0/12',
    ),
  DEV_API_KEY: z
    .string()
    .regex(/^[A-Za-z0-9_-]{16,200}$/)
    .optional()
    .describe('16 to 200 characters of A-Z a-z 0-9 _ -'),
  ARTIFACT_STORE: z.enum(['disk', 's3']).default('disk').describe('disk or s3'),
  MAX_ARTIFACT_BYTES: size.default(500 * 1024 * 1024).describe(SIZE_WORDS),
  S3_BUCKET: z
    .string()
    .regex(/^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$/)
    .optional()
    .describe('the name of a bucket'),
  S3_PREFIX: z
    .string()
    .max(200)
    .regex(/^[A-Za-z0-9_-][A-Za-z0-9._-]*(?:\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/)
    .optional()
    .describe('names of A-Z a-z 0-9 _ - . with / between them'),
  S3_KEY_PATTERN: z
    .string()
    .default(BUCKET_PATTERN)
    .superRefine((pattern, context) => {
      const problem = patternProblem(pattern)
      if (problem !== null) context.addIssue({ code: 'custom', message: problem })
    })
    .describe('a pattern such as training-images/{batch}/{index}.{ext}'),
  S3_ENDPOINT: url(/^https?$/, 'query', 'credentials')
    .optional()
    .describe('an http(s) URL; unset for AWS'),
  S3_REGION: z
    .string()
    .regex(/^[a-z0-9-]{1,40}$/)
    .default('us-east-1')
    .describe('a region such as eu-central-1'),
  S3_ACCESS_KEY_ID: z.string().min(1).optional().describe('the id of an access key'),
  S3_SECRET_ACCESS_KEY: z.string().min(1).optional().describe('the secret of the access key'),
  S3_FORCE_PATH_STYLE: z.enum(['true', 'false']).optional().describe('true or false'),
  KEEP_PAYLOAD: keep('payload'),
  KEEP_JOB: keep('job'),
  KEEP_FILES: keep('files'),
  KEEP_PAYLOAD_MAX: keep('payload'),
  KEEP_JOB_MAX: keep('job'),
  KEEP_FILES_MAX: keep('files'),
  S3_DOWNLOADS: z.enum(['proxy', 'presigned']).default('proxy').describe('proxy or presigned'),
  CORS_ORIGINS: z
    .string()
    .transform(splitOrigins)
    .refine((origins) => originsProblem(origins) === null)
    .prefault('')
    .describe('a comma-separated list of the origins of your pages, such as https://app.example.com'),
  TENANT_REQUESTS_PER_MINUTE: rate.default(6000).describe(RATE_WORDS),
  TENANT_QUEUED_JOBS: rate.default(10_000).describe(RATE_WORDS),
  TENANT_STORED_BYTES: stored.optional().describe(STORED_WORDS),
  TENANT_STORED_FILES: stored.optional().describe(STORED_WORDS),
  DISK_RESERVE: z.coerce
    .number()
    .int()
    .min(0)
    .max(Number.MAX_SAFE_INTEGER)
    .default(1024 ** 3)
    .describe('a number of bytes; 0 for none'),
  PRESETS_DIR: z.string().min(1).default(OWN_PRESETS).describe('a folder of presets'),
  UNPRICED_MODELS: z.enum(['refuse', 'allow']).default('refuse').describe('refuse or allow'),
  ALLOW_RAW_MODELS: z.enum(['true', 'false']).default('true').describe('true or false'),
  MAX_INPUT_FILE_BYTES: z.coerce
    .number()
    .int()
    .min(1)
    .max(MAX_DATA_URI_BYTES)
    .default(25 * 1024 * 1024)
    .describe(`a number of bytes, 1 to ${MAX_DATA_URI_BYTES}`),
  MAX_JOB_INPUT_BYTES: size.default(128 * 1024 * 1024).describe(SIZE_WORDS),
  MAX_UPLOAD_BYTES: size.default(100_000_000).describe(SIZE_WORDS),
  UPLOAD_TYPES: z
    .string()
    .transform((list) => list.split(',').map((type) => type.trim().toLowerCase()))
    .refine((types) => types.every((type) => TYPE_PATTERN.test(type)))
    .prefault(UPLOAD_TYPES)
    .describe('a comma-separated list of media types, such as image/*, audio/wav'),
  ADMIN_PASSWORD: z.string().min(8).max(200).optional().describe('8 to 200 characters'),
  SIMULATOR_PORT: port('SIMULATOR_PORT').default(4010).describe('a port number, 0 to 65535 (0: any free one)'),
  SIMULATOR_SPEED: z.coerce
    .number()
    .positive()
    .max(10_000)
    .default(1)
    .describe('a number above 0; 10 runs ten times as fast'),
  SIMULATOR_CREATES_PER_MINUTE: rate.optional().describe(RATE_WORDS),
  SIMULATOR_READS_PER_MINUTE: rate.optional().describe(RATE_WORDS),
  SIMULATOR_BURST: rate.optional().describe(RATE_WORDS),
  LOG_LEVEL: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
    .default('info')
    .describe('fatal, error, warn, info, debug, trace or silent'),
} as const

const schema = z.object(variables)

/** Variables whose values must not be printed. */
const SECRET = new Set([
  'REPLICATE_API_TOKEN',
  'REPLICATE_WEBHOOK_SECRET',
  'DEV_API_KEY',
  'ADMIN_PASSWORD',
  'REDIS_URL',
  'S3_ACCESS_KEY_ID',
  'S3_SECRET_ACCESS_KEY',
])

export interface Config {
  role: 'all' | 'api' | 'worker'
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
  replicate: {
    /** null: the simulator */
    token: string | null
    baseUrl: string
    webhookSecret: string | null
    createsPerMinute: number
    createBurst: number
    readsPerMinute: number
  }
  publicUrl: string | null
  /** Proxies that are trusted for the client's address, scheme and host: `loopback`, addresses, CIDRs. */
  trustProxy: string[]
  devApiKey: string | null
  adminPassword: string | null
  /** absolute */
  presetsDir: string
  /** Whether tenants with limited credit can run jobs without a price. */
  unpricedModels: 'refuse' | 'allow'
  /** false: every job needs a preset. */
  allowRawModels: boolean
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

/** All variables that the service reads. */
export const VARIABLE_NAMES = Object.keys(variables)

/** Functions that explain why a value is invalid. */
const reasons: Record<string, (value: string) => string | null> = {
  S3_KEY_PATTERN: patternProblem,
  CORS_ORIGINS: (value) => originsProblem(splitOrigins(value)),
}

function problem(name: string, value: string | undefined): string {
  const expected = Object.entries(variables).find(([known]) => known === name)?.[1].description
  const why = value === undefined ? null : (reasons[name]?.(value) ?? null)
  const read = value === undefined ? 'nothing' : SECRET.has(name) ? `${value.length} characters` : JSON.stringify(value)
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
  const parsed = schema.safeParse(given)
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
  if (!isLoopback(env.HOST) && env.DEV_API_KEY && env.DEV_API_KEY.length < 32)
    wrong.push(
      `DEV_API_KEY: read ${env.DEV_API_KEY.length} characters, expected 32 or more because HOST is not loopback`,
    )
  if (!new URL(env.REPLICATE_BASE_URL).pathname.replace(/\/+$/, '').endsWith('/v1'))
    wrong.push(problem('REPLICATE_BASE_URL', env.REPLICATE_BASE_URL))
  if (env.ARTIFACT_STORE === 's3' && !env.S3_BUCKET) wrong.push(problem('S3_BUCKET', undefined))
  const halves = ['S3_ACCESS_KEY_ID', 'S3_SECRET_ACCESS_KEY'] as const
  if (halves.some((name) => env[name]))
    wrong.push(...halves.filter((name) => !env[name]).map((name) => problem(name, undefined)))
  const kept = keepFrom(env)
  wrong.push(...kept.wrong)
  if (wrong.length > 0) throw new ConfigError(wrong.join('\n'))

  const perMinute = env.REPLICATE_CREATES_PER_MINUTE
  return {
    role: env.ROLE,
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
      createBurst: env.REPLICATE_CREATE_BURST ?? Math.max(1, Math.ceil(perMinute / 60)),
      readsPerMinute: env.REPLICATE_READS_PER_MINUTE,
    },
    publicUrl: env.PUBLIC_URL?.replace(/\/+$/, '') ?? null,
    trustProxy: env.TRUST_PROXY ?? [],
    devApiKey: env.DEV_API_KEY ?? null,
    adminPassword: env.ADMIN_PASSWORD ?? null,
    presetsDir: resolve(env.PRESETS_DIR),
    unpricedModels: env.UNPRICED_MODELS,
    allowRawModels: env.ALLOW_RAW_MODELS === 'true',
    artifacts: { store: env.ARTIFACT_STORE, maxBytes: env.MAX_ARTIFACT_BYTES, bucket: bucketOf(env) },
    keep: kept.keep,
    inputs: {
      fileBytes: env.MAX_INPUT_FILE_BYTES,
      jobBytes: env.MAX_JOB_INPUT_BYTES,
      uploadBytes: env.MAX_UPLOAD_BYTES,
      types: env.UPLOAD_TYPES,
    },
    corsOrigins: env.CORS_ORIGINS,
    tenantLimits: {
      requests_per_minute: env.TENANT_REQUESTS_PER_MINUTE,
      queued_jobs: env.TENANT_QUEUED_JOBS,
      ...(env.TENANT_STORED_BYTES === undefined ? {} : { stored_bytes: env.TENANT_STORED_BYTES }),
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
function keepFrom(env: z.output<typeof schema>): { keep: DeploymentKeep; wrong: string[] } {
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

function bucketOf(env: z.output<typeof schema>): Config['artifacts']['bucket'] {
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

/** Prefixes of this service's settings, without REDIS_ and MAX_, which other programs use too. */
const OWN_PREFIX = /^(?:REPLICATE|S3|SIMULATOR|TENANT|ARTIFACT)_/
/** Variables that Kubernetes sets for services with such names. */
const SERVICE_LINK = /_SERVICE_(?:HOST|PORT)|_PORT(?:_\d+_|$)/

/** Unused variables that look like a setting of this service, each with the setting that may be meant. */
export function misspelt(names: readonly string[]): { name: string; meant: string | null }[] {
  return names.flatMap((name): { name: string; meant: string | null }[] => {
    if (VARIABLE_NAMES.includes(name) || name.length < 4) return []
    const nearest = VARIABLE_NAMES.map((known) => ({ known, distance: editDistance(name.toUpperCase(), known) })).sort(
      (a, b) => a.distance - b.distance,
    )[0]
    const isNear = nearest !== undefined && nearest.distance <= (nearest.known.length >= 8 ? 2 : 1)
    if (isNear) return [{ name, meant: nearest.known }]
    return OWN_PREFIX.test(name) && !SERVICE_LINK.test(name) ? [{ name, meant: null }] : []
  })
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++)
      next.push(
        Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)),
      )
    row = next
  }
  return row[b.length] ?? 0
}

/** Names of all variables that are set. */
export const setVariables = (): string[] =>
  Object.entries(readEnvironment()).flatMap(([name, value]) => (value?.trim() ? [name] : []))

/** Loads the configuration; `overrides` win over the environment, which wins over `.env` in the working folder. */
export function loadConfig(overrides: Record<string, string | undefined> = {}): Config {
  return parseConfig({ ...readEnvironment(), ...overrides })
}
