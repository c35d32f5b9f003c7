import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { BUCKET_PATTERN, patternProblem } from '../artifacts/rules/artifact-names.ts'
import { originsProblem, splitOrigins } from '../tenants/rules/cors-origins.ts'
import { formatDuration, parseDuration } from '../values/duration.ts'
import { readMailbox } from '../mail/rules/address.ts'
import { readWebhookAllow } from '../notifications/rules/webhook-url.ts'
import { TYPE_PATTERN } from '../inputs/media-type.ts'
import { KEEP_BOUNDS, type Keep } from '../jobs/rules/keep.ts'
import { readTrustedProxies } from './trusted-proxies.ts'

const port = (name: string) =>
  z.coerce
    .number({ error: `${name}: a port number, 0 to 65535` })
    .int()
    .min(0)
    .max(65_535)
const MAX_PROCESSES = 64
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
const OWN_PRESETS = fileURLToPath(new URL('../../../presets', import.meta.url))

/** Every variable of the configuration, with its bounds; the description says what is expected. */
export const variables = {
  ROLE: z.enum(['all', 'api', 'worker']).default('all').describe('all, api or worker'),
  PROCESSES: z.coerce
    .number()
    .int()
    .min(1)
    .max(MAX_PROCESSES)
    .default(1)
    .describe(`a whole number, 1 to ${MAX_PROCESSES}`),
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
  REPLICATE_ACCOUNTS: z.string().min(1).optional().describe('a JSON list of further accounts'),
  REPLICATE_ACCOUNTS_FILE: z.string().min(1).optional().describe('the path of a JSON file with further accounts'),
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
  WEBHOOK_ALLOW: z
    .string()
    .transform((list, context) => {
      const allow = readWebhookAllow(list)
      if (allow === null) context.addIssue({ code: 'custom', message: 'not a list of hosts' })
      return allow ?? { hosts: [], ranges: [] }
    })
    .optional()
    .describe(
      'a comma-separated list of loopback, host names, addresses or CIDRs, such as hooks.internal, 10.1.0.0/16; link-local, multicast and metadata addresses are never allowed',
    ),
  SMTP_URL: url(/^smtps?$/, 'path', 'query')
    .optional()
    .describe('smtp://user:password@host:587 or smtps://user:password@host:465'),
  MAIL_FROM: z
    .string()
    .transform((text, context) => {
      const mailbox = readMailbox(text)
      if (mailbox === null) context.addIssue({ code: 'custom', message: 'not an address' })
      return mailbox ?? { name: '', address: '' }
    })
    .optional()
    .describe('the address that mail is sent from, such as studio@example.com or Studio <studio@example.com>'),
  TENANT_REQUESTS_PER_MINUTE: rate.default(6000).describe(RATE_WORDS),
  TENANT_QUEUED_JOBS: rate.default(10_000).describe(RATE_WORDS),
  TENANT_BATCH_JOBS: rate.optional().describe(RATE_WORDS),
  TENANT_STORED_BYTES: stored.optional().describe(STORED_WORDS),
  TENANT_STORED_FILES: stored.optional().describe(STORED_WORDS),
  TENANT_MAILS_PER_HOUR: rate.default(200).describe(RATE_WORDS),
  DISK_RESERVE: z.coerce
    .number()
    .int()
    .min(0)
    .max(Number.MAX_SAFE_INTEGER)
    .default(1024 ** 3)
    .describe('a number of bytes; 0 for none'),
  PRESETS_DIR: z.string().min(1).default(OWN_PRESETS).describe('a folder of presets'),
  UNPRICED_MODELS: z.enum(['refuse', 'allow']).default('refuse').describe('refuse or allow'),
  RAW_MODELS: z.enum(['allow', 'presets', 'deny']).optional().describe('allow, presets or deny'),
  ALLOW_RAW_MODELS: z.enum(['true', 'false']).optional().describe('true or false'),
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

export const variablesSchema = z.object(variables)
export type Variables = z.output<typeof variablesSchema>

/** Variables whose values must not be printed. */
export const SECRET_VARIABLES: ReadonlySet<string> = new Set([
  'REPLICATE_API_TOKEN',
  'REPLICATE_WEBHOOK_SECRET',
  'REPLICATE_ACCOUNTS',
  'DEV_API_KEY',
  'ADMIN_PASSWORD',
  'REDIS_URL',
  'SMTP_URL',
  'S3_ACCESS_KEY_ID',
  'S3_SECRET_ACCESS_KEY',
])

/** All variables that the service reads. */
export const VARIABLE_NAMES = Object.keys(variables)
