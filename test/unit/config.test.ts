import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ConfigError, isLoopback, parseConfig } from '../../src/shared/settings/config.ts'
import { LOOPBACK_WEBHOOKS } from '../../src/shared/notifications/rules/webhook-url.ts'
import { VARIABLE_NAMES } from '../../src/shared/settings/config-variables.ts'
import { misspelt } from '../../src/shared/settings/misspelt.ts'
import { spawnNode } from '../support/spawn-process.ts'
import { tempDir } from '../support/temp-dir.ts'

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const ACCOUNTS_FILE = join(tempDir(), 'accounts.json')
writeFileSync(
  ACCOUNTS_FILE,
  JSON.stringify([
    { name: 'default', weight: 3 },
    { name: 'second', token: 'r8_y', presets: ['video'], dedicated: true },
  ]),
)
const messageOf = (variables: Record<string, string>): string => {
  try {
    parseConfig(variables)
  } catch (error) {
    if (error instanceof ConfigError) return error.message
    throw error
  }
  throw new Error('the configuration was taken')
}

describe('without any variable', () => {
  test('everything has a value that runs on a bare machine', () => {
    expect(parseConfig({})).toEqual({
      role: 'all',
      processes: 1,
      host: '127.0.0.1',
      port: 3000,
      healthPort: null,
      dataDir: resolve('.data'),
      redisUrl: null,
      redisServerBin: null,
      durability: 'everysec',
      newDeployment: false,
      keyPrefix: 'genqueue',
      replicate: {
        token: null,
        baseUrl: 'https://api.replicate.com/v1',
        webhookSecret: null,
        createsPerMinute: 600,
        createBurst: 8,
        readsPerMinute: 3000,
        accounts: {
          terms: { name: 'default', weight: 1, tenants: null, presets: null, dedicated: false },
          others: [],
        },
      },
      publicUrl: null,
      trustProxy: [],
      devApiKey: null,
      adminPassword: null,
      presetsDir: join(import.meta.dirname, '../../presets'),
      unpricedModels: 'refuse',
      rawModels: 'allow',
      artifacts: { store: 'disk', maxBytes: 524_288_000, bucket: null },
      keep: {
        usual: { payload: 86_400, job: 604_800, files: 604_800 },
        max: { payload: 86_400, job: 604_800, files: 604_800 },
      },
      inputs: {
        fileBytes: 25 * 1024 * 1024,
        jobBytes: 128 * 1024 * 1024,
        uploadBytes: 100_000_000,
        types: [
          'image/*',
          'audio/*',
          'video/*',
          'model/*',
          'text/plain',
          'text/csv',
          'application/json',
          'application/pdf',
          'application/zip',
        ],
      },
      corsOrigins: [],
      mail: null,
      webhookAllow: LOOPBACK_WEBHOOKS,
      tenantLimits: { requests_per_minute: 6000, queued_jobs: 10_000, mails_per_hour: 200 },
      diskReserve: 1024 ** 3,
      simulator: { port: 4010, speed: 1, createsPerMinute: null, readsPerMinute: null, burst: null },
      logLevel: 'info',
    })
  })

  test('webhooks to this machine are allowed by default only with the simulator', () => {
    expect(parseConfig({ REPLICATE_API_TOKEN: 'r8_x' }).webhookAllow).toEqual({ hosts: [], ranges: [] })
  })

  test('an empty value counts as none', () => {
    expect(parseConfig(Object.fromEntries(VARIABLE_NAMES.map((name) => [name, ' '])))).toEqual(parseConfig({}))
  })
})

const BUCKET = { S3_BUCKET: 'outputs' }

/** One right value for each variable, and where it shows. */
const RIGHT: Record<string, { value: string; as: object; beside?: Record<string, string> }> = {
  ROLE: { value: 'all', as: { role: 'all' } },
  PROCESSES: {
    value: '4',
    as: { processes: 4 },
    beside: { ROLE: 'worker', REDIS_URL: 'redis://r:6379', REPLICATE_API_TOKEN: 'r8_x' },
  },
  HOST: { value: '0.0.0.0', as: { host: '0.0.0.0' } },
  PORT: { value: '0', as: { port: 0 } },
  HEALTH_PORT: { value: '65535', as: { healthPort: 65_535 } },
  DATA_DIR: { value: 'here', as: { dataDir: resolve('here') } },
  REDIS_URL: {
    value: 'rediss://user:pass@redis.internal:6380/2',
    as: { redisUrl: 'rediss://user:pass@redis.internal:6380/2' },
  },
  REDIS_SERVER_BIN: { value: '/opt/redis-server', as: { redisServerBin: '/opt/redis-server' } },
  DURABILITY: { value: 'strict', as: { durability: 'strict' } },
  NEW_DEPLOYMENT: { value: 'yes', as: { newDeployment: true } },
  KEY_PREFIX: { value: 'a_B-9', as: { keyPrefix: 'a_B-9' } },
  REPLICATE_API_TOKEN: { value: 'r8_x', as: { replicate: { token: 'r8_x' } } },
  REPLICATE_BASE_URL: {
    value: 'http://127.0.0.1:4010/v1/',
    as: { replicate: { baseUrl: 'http://127.0.0.1:4010/v1' } },
  },
  REPLICATE_WEBHOOK_SECRET: { value: SECRET, as: { replicate: { webhookSecret: SECRET } } },
  REPLICATE_CREATES_PER_MINUTE: { value: '90', as: { replicate: { createsPerMinute: 90, createBurst: 1 } } },
  REPLICATE_CREATE_BURST: { value: '7', as: { replicate: { createBurst: 7 } } },
  REPLICATE_READS_PER_MINUTE: { value: '1', as: { replicate: { readsPerMinute: 1 } } },
  REPLICATE_ACCOUNTS: {
    value: '[{"name":"second","token":"r8_y","creates_per_minute":90}]',
    as: {
      replicate: {
        accounts: {
          others: [
            { name: 'second', token: 'r8_y', createsPerMinute: 90, createBurst: 1, readsPerMinute: 3000, weight: 1 },
          ],
        },
      },
    },
    beside: { REPLICATE_API_TOKEN: 'r8_x' },
  },
  REPLICATE_ACCOUNTS_FILE: {
    value: ACCOUNTS_FILE,
    as: {
      replicate: {
        accounts: { terms: { weight: 3 }, others: [{ name: 'second', presets: ['video'], dedicated: true }] },
      },
    },
    beside: { REPLICATE_API_TOKEN: 'r8_x' },
  },
  PUBLIC_URL: { value: 'https://gq.example/', as: { publicUrl: 'https://gq.example' } },
  TRUST_PROXY: { value: 'loopback, 10.0.0.0/8', as: { trustProxy: ['loopback', '10.0.0.0/8'] } },
  WEBHOOK_ALLOW: {
    value: 'hooks.internal',
    as: { webhookAllow: { hosts: ['hooks.internal'], ranges: [] } },
  },
  DEV_API_KEY: { value: 'k'.repeat(16), as: { devApiKey: 'k'.repeat(16) } },
  ADMIN_PASSWORD: { value: 'correct horse', as: { adminPassword: 'correct horse' } },
  TENANT_REQUESTS_PER_MINUTE: { value: '60', as: { tenantLimits: { requests_per_minute: 60 } } },
  TENANT_STORED_BYTES: { value: '9007199254740991', as: { tenantLimits: { stored_bytes: 9007199254740991 } } },
  TENANT_BATCH_JOBS: { value: '50', as: { tenantLimits: { batch_jobs: 50 } } },
  TENANT_MAILS_PER_HOUR: { value: '9', as: { tenantLimits: { mails_per_hour: 9 } } },
  SMTP_URL: {
    value: 'smtp://u:p%40@mail.example.com:2525',
    as: { mail: { url: 'smtp://u:p%40@mail.example.com:2525', from: { name: '', address: 'a@example.com' } } },
    beside: { MAIL_FROM: 'a@example.com' },
  },
  MAIL_FROM: {
    value: 'Studio <studio@example.com>',
    as: { mail: { from: { name: 'Studio', address: 'studio@example.com' } } },
    beside: { SMTP_URL: 'smtps://mail.example.com' },
  },
  TENANT_STORED_FILES: { value: '7', as: { tenantLimits: { stored_files: 7 } } },
  DISK_RESERVE: { value: '0', as: { diskReserve: 0 } },
  TENANT_QUEUED_JOBS: { value: '5', as: { tenantLimits: { queued_jobs: 5 } } },
  MAX_INPUT_FILE_BYTES: { value: '1000', as: { inputs: { fileBytes: 1000 } } },
  MAX_JOB_INPUT_BYTES: { value: '2000', as: { inputs: { jobBytes: 2000 } } },
  MAX_UPLOAD_BYTES: { value: '3000', as: { inputs: { uploadBytes: 3000 } } },
  UPLOAD_TYPES: { value: 'image/*, Audio/WAV', as: { inputs: { types: ['image/*', 'audio/wav'] } } },
  PRESETS_DIR: { value: 'recipes', as: { presetsDir: resolve('recipes') } },
  UNPRICED_MODELS: { value: 'allow', as: { unpricedModels: 'allow' } },
  RAW_MODELS: { value: 'presets', as: { rawModels: 'presets' } },
  ALLOW_RAW_MODELS: { value: 'false', as: { rawModels: 'deny' } },
  ARTIFACT_STORE: { value: 's3', as: { artifacts: { store: 's3' } }, beside: BUCKET },
  MAX_ARTIFACT_BYTES: { value: '1000', as: { artifacts: { maxBytes: 1000 } } },
  S3_BUCKET: {
    value: 'my.outputs-1',
    as: {
      artifacts: {
        store: 'disk',
        bucket: {
          name: 'my.outputs-1',
          prefix: '',
          pattern: '{tenant}/{job}/{attempt}/{index}.{ext}',
          endpoint: null,
          region: 'us-east-1',
          credentials: null,
          forcePathStyle: false,
          presigned: false,
        },
      },
    },
  },
  S3_PREFIX: { value: 'a/b.c', as: { artifacts: { bucket: { prefix: 'a/b.c' } } }, beside: BUCKET },
  S3_KEY_PATTERN: { value: 'x/{job}', as: { artifacts: { bucket: { pattern: 'x/{job}' } } }, beside: BUCKET },
  S3_ENDPOINT: {
    value: 'http://127.0.0.1:9000/',
    as: { artifacts: { bucket: { endpoint: 'http://127.0.0.1:9000', forcePathStyle: true } } },
    beside: BUCKET,
  },
  S3_REGION: { value: 'eu-central-1', as: { artifacts: { bucket: { region: 'eu-central-1' } } }, beside: BUCKET },
  S3_ACCESS_KEY_ID: {
    value: 'AK',
    as: { artifacts: { bucket: { credentials: { accessKeyId: 'AK', secretAccessKey: 's' } } } },
    beside: { ...BUCKET, S3_SECRET_ACCESS_KEY: 's' },
  },
  S3_SECRET_ACCESS_KEY: {
    value: 'SK',
    as: { artifacts: { bucket: { credentials: { accessKeyId: 'a', secretAccessKey: 'SK' } } } },
    beside: { ...BUCKET, S3_ACCESS_KEY_ID: 'a' },
  },
  S3_FORCE_PATH_STYLE: {
    value: 'false',
    as: { artifacts: { bucket: { forcePathStyle: false } } },
    beside: { ...BUCKET, S3_ENDPOINT: 'https://s3.example' },
  },
  KEEP_PAYLOAD: { value: '2h', as: { keep: { usual: { payload: 7200 } } } },
  KEEP_JOB: { value: '30d', as: { keep: { usual: { job: 2_592_000, files: 2_592_000 } } } },
  KEEP_FILES: { value: 'forever', as: { keep: { usual: { files: Infinity }, max: { files: Infinity } } } },
  KEEP_PAYLOAD_MAX: { value: '48h', as: { keep: { usual: { payload: 86_400 }, max: { payload: 172_800 } } } },
  KEEP_JOB_MAX: { value: '30d', as: { keep: { usual: { job: 604_800 }, max: { job: 2_592_000 } } } },
  KEEP_FILES_MAX: { value: 'forever', as: { keep: { usual: { files: 604_800 }, max: { files: Infinity } } } },
  S3_DOWNLOADS: { value: 'presigned', as: { artifacts: { bucket: { presigned: true } } }, beside: BUCKET },
  CORS_ORIGINS: {
    value: 'https://a.example, http://localhost:5173,https://a.example',
    as: { corsOrigins: ['https://a.example', 'http://localhost:5173'] },
  },
  SIMULATOR_PORT: { value: '4011', as: { simulator: { port: 4011 } } },
  SIMULATOR_SPEED: { value: '0.5', as: { simulator: { speed: 0.5 } } },
  SIMULATOR_CREATES_PER_MINUTE: { value: '60', as: { simulator: { createsPerMinute: 60 } } },
  SIMULATOR_READS_PER_MINUTE: { value: '60', as: { simulator: { readsPerMinute: 60 } } },
  SIMULATOR_BURST: { value: '60', as: { simulator: { burst: 60 } } },
  LOG_LEVEL: { value: 'silent', as: { logLevel: 'silent' } },
}

const WRONG: [name: string, value: string][] = [
  ['ROLE', 'both'],
  ['PROCESSES', '0'],
  ['PROCESSES', '65'],
  ['PROCESSES', '1.5'],
  ['PROCESSES', 'many'],
  ['PORT', 'abc'],
  ['PORT', '65536'],
  ['PORT', '-1'],
  ['PORT', '80.5'],
  ['HEALTH_PORT', 'x'],
  ['REDIS_URL', 'http://localhost:6379'],
  ['REDIS_URL', 'localhost:6379'],
  ['KEY_PREFIX', 'a{b}'],
  ['KEY_PREFIX', 'a:b'],
  ['KEY_PREFIX', 'x'.repeat(41)],
  ['REPLICATE_BASE_URL', 'ftp://x/v1'],
  ['REPLICATE_BASE_URL', 'https://api.replicate.com'],
  ['REPLICATE_WEBHOOK_SECRET', 'hunter2'],
  ['REPLICATE_CREATES_PER_MINUTE', '0'],
  ['REPLICATE_CREATES_PER_MINUTE', '1.5'],
  ['REPLICATE_CREATES_PER_MINUTE', 'many'],
  ['REPLICATE_CREATE_BURST', '0'],
  ['REPLICATE_READS_PER_MINUTE', '-3'],
  ['PUBLIC_URL', 'gq.example'],
  ['PUBLIC_URL', 'https://gq.example/base'],
  ['PUBLIC_URL', 'https://gq.example/?a=b'],
  ['PUBLIC_URL', 'https://me:secret@gq.example'],
  ['REPLICATE_BASE_URL', 'https://r.example/v1?a=b'],
  ['S3_ENDPOINT', 'https://s3.example/#a'],
  ['REDIS_URL', 'redis://r:6379/jobs'],
  ['TRUST_PROXY', 'true'],
  ['TRUST_PROXY', '0.0.0.0/0'],
  ['TRUST_PROXY', 'proxy.internal'],
  ['WEBHOOK_ALLOW', 'http://hooks.internal'],
  ['WEBHOOK_ALLOW', '169.254.169.254'],
  ['DEV_API_KEY', 'too short'],
  ['DEV_API_KEY', `with a blank ${'x'.repeat(20)}`],
  ['ADMIN_PASSWORD', 'short'],
  ['CORS_ORIGINS', '*'],
  ['CORS_ORIGINS', 'https://app.example.com, https://www.example.com/'],
  ['TENANT_REQUESTS_PER_MINUTE', '0'],
  ['TENANT_QUEUED_JOBS', 'all'],
  ['TENANT_BATCH_JOBS', '0'],
  ['TENANT_MAILS_PER_HOUR', '0'],
  ['SMTP_URL', 'smtp://mail.example.com/path'],
  ['MAIL_FROM', 'Studio'],
  ['TENANT_STORED_BYTES', '0'],
  ['TENANT_STORED_FILES', '9007199254740992'],
  ['DISK_RESERVE', '5%'],
  ['MAX_INPUT_FILE_BYTES', '0'],
  ['MAX_JOB_INPUT_BYTES', '1.5'],
  ['MAX_UPLOAD_BYTES', 'much'],
  ['UPLOAD_TYPES', 'pictures'],
  ['UNPRICED_MODELS', 'free'],
  ['RAW_MODELS', 'false'],
  ['ALLOW_RAW_MODELS', 'no'],
  ['MAX_INPUT_FILE_BYTES', String(64 * 1024 * 1024)],
  ['UPLOAD_TYPES', 'image/*,'],
  ['ARTIFACT_STORE', 'ftp'],
  ['MAX_ARTIFACT_BYTES', '0'],
  ['S3_BUCKET', 'Outputs'],
  ['S3_PREFIX', '/a'],
  ['S3_PREFIX', 'a/../b'],
  ['S3_KEY_PATTERN', '{job}/{character}'],
  ['S3_KEY_PATTERN', '../{job}'],
  ['S3_ENDPOINT', 's3.example'],
  ['S3_REGION', 'Europe'],
  ['S3_FORCE_PATH_STYLE', 'yes'],
  ['S3_DOWNLOADS', 'direct'],
  ['KEEP_PAYLOAD', '24'],
  ['KEEP_JOB', 'forever'],
  ['KEEP_FILES', 'always'],
  ['KEEP_PAYLOAD_MAX', '30s'],
  ['KEEP_JOB_MAX', '366d'],
  ['KEEP_FILES_MAX', '-1d'],
  ['SIMULATOR_PORT', '1e9'],
  ['SIMULATOR_SPEED', '0'],
  ['SIMULATOR_SPEED', 'Infinity'],
  ['SIMULATOR_CREATES_PER_MINUTE', '0'],
  ['SIMULATOR_READS_PER_MINUTE', '0'],
  ['SIMULATOR_BURST', '0'],
  ['LOG_LEVEL', 'loud'],
]
const SECRETS = new Set([
  'REPLICATE_API_TOKEN',
  'REPLICATE_WEBHOOK_SECRET',
  'DEV_API_KEY',
  'ADMIN_PASSWORD',
  'REDIS_URL',
  'SMTP_URL',
])

describe('a variable', () => {
  test('of each name is tested here', () => {
    expect(Object.keys(RIGHT).sort()).toEqual([...VARIABLE_NAMES].sort())
  })

  test.each(Object.entries(RIGHT))('%s is read', (name, { value, as, beside = {} }) => {
    const host = name === 'HOST' ? {} : { HOST: '127.0.0.1' }
    expect(parseConfig({ ...host, ...beside, [name]: value })).toMatchObject(as)
  })

  test.each(WRONG)('%s=%s is named with what is expected, and shown unless it is secret', (name, value) => {
    const message = messageOf({ [name]: value })
    expect(message.split('\n')).toHaveLength(1)
    expect(message).toMatch(new RegExp(`^${name}: read .+, expected .+`))
    if (SECRETS.has(name)) {
      expect(message).not.toContain(value)
      expect(message).toContain(`${value.length} characters`)
    } else expect(message).toContain(JSON.stringify(value))
  })

  test.each([
    [{ ALLOW_RAW_MODELS: 'true' }, 'allow'],
    [{ ALLOW_RAW_MODELS: 'true', RAW_MODELS: 'allow' }, 'allow'],
    [{ ALLOW_RAW_MODELS: 'false', RAW_MODELS: 'deny' }, 'deny'],
  ])('with an older name is read by that too: %j', (given, rawModels) => {
    expect(parseConfig(given)).toMatchObject({ rawModels })
  })

  test.each([
    [{ ALLOW_RAW_MODELS: 'true', RAW_MODELS: 'presets' }, 'read "presets", expected allow'],
    [{ ALLOW_RAW_MODELS: 'false', RAW_MODELS: 'allow' }, 'read "allow", expected deny'],
    [{ ALLOW_RAW_MODELS: 'false', RAW_MODELS: 'presets' }, 'read "presets", expected deny'],
  ])('that contradicts its older name is refused: %j', (given, expected) => {
    expect(messageOf(given)).toContain(`RAW_MODELS: ${expected}, because ALLOW_RAW_MODELS, its old name, is`)
  })

  test('that is wrong does not hide another', () => {
    expect(messageOf({ PORT: 'x', LOG_LEVEL: 'loud', ROLE: 'both' }).split('\n')).toHaveLength(3)
  })
})

test.each([
  ['REPLICATE_CREATES_PER_MINUTE', '6000000', '1 to 1000000'],
  ['REPLICATE_CREATE_BURST', '10001', '1 to 10000'],
  ['SIMULATOR_BURST', '1000001', '1 to 1000000'],
  ['MAX_ARTIFACT_BYTES', String(11 * 1024 ** 3), '1 to 10737418240'],
  ['MAX_INPUT_FILE_BYTES', String(1024 ** 3), '1 to 49283072'],
])('%s=%s is refused with its limits', (name, value, limits) => {
  expect(messageOf({ [name]: value })).toContain(limits)
})

test.each<[string, string | null | undefined]>([
  ['REPLICATE_API_TOKEN', undefined],
  ['REPLICATE_API_TOKN', 'REPLICATE_API_TOKEN'],
  ['REPLICATE_TOKEN', null],
  ['DEV_APIKEY', 'DEV_API_KEY'],
  ['PUBLIC_URI', 'PUBLIC_URL'],
  ['KEYPREFIX', 'KEY_PREFIX'],
  ['S3_BUCKET_NAME', null],
  ['PATH', undefined],
  ['HOME', undefined],
  ['HOSTNAME', undefined],
  ['SIMULATOR_SERVICE_HOST', undefined],
  ['REDIS_PORT_6379_TCP_ADDR', undefined],
  ['REDIS_PASSWORD', undefined],
])('the variable %s is taken for %s', (name, meant) => {
  expect(misspelt([name])).toEqual(meant === undefined ? [] : [{ name, meant }])
})

describe('what only makes sense together', () => {
  test('role all is one process', () => {
    expect(messageOf({ PROCESSES: '2' })).toBe(
      'PROCESSES: read 2, expected 1 with ROLE=all, which is one process by definition. Start ROLE=api and ROLE=worker with their own PROCESSES',
    )
  })

  test.each(['api', 'worker'])('role %s needs a Redis and an account', (ROLE) => {
    const message = messageOf({ ROLE })
    expect(message).toContain('REDIS_URL is not set')
    expect(message).toContain('REPLICATE_API_TOKEN is not set')
    expect(parseConfig({ ROLE, REDIS_URL: 'redis://r:6379', REPLICATE_API_TOKEN: 'r8_x' }).role).toBe(ROLE)
  })

  test('a bucket needs a name, and a key its secret', () => {
    expect(messageOf({ ARTIFACT_STORE: 's3' })).toMatch(/^S3_BUCKET: read nothing, expected/)
    expect(messageOf({ S3_ACCESS_KEY_ID: 'a' })).toMatch(/^S3_SECRET_ACCESS_KEY: read nothing/)
    expect(messageOf({ S3_SECRET_ACCESS_KEY: 'a' })).toMatch(/^S3_ACCESS_KEY_ID: read nothing/)
    expect(messageOf({ S3_KEY_PATTERN: '{job}{index}' })).toMatch(/: two placeholders need one of/)
  })

  test('off loopback the key must be long', () => {
    const message = messageOf({ HOST: '0.0.0.0', DEV_API_KEY: 'k'.repeat(31) })
    expect(message).toBe('DEV_API_KEY: read 31 characters, expected 32 or more because HOST is not loopback')
    expect(parseConfig({ HOST: '0.0.0.0', DEV_API_KEY: 'k'.repeat(32) }).host).toBe('0.0.0.0')
  })

  test.each([
    ['localhost', true],
    ['127.0.0.1', true],
    ['127.8.9.10', true],
    ['::1', true],
    ['[::1]', true],
    ['0.0.0.0', false],
    ['::', false],
    ['127.0.0.1.evil.example', false],
    ['localhost.evil.example', false],
    ['192.168.0.1', false],
  ])('%s is loopback: %s', (host, loopback) => {
    expect(isLoopback(host)).toBe(loopback)
  })
})

test('arguments win over the environment, which wins over .env', async () => {
  const cwd = tempDir()
  mkdirSync(cwd, { recursive: true })
  writeFileSync(join(cwd, '.env'), 'PORT=1111\nLOG_LEVEL=debug\nKEY_PREFIX="from-file" # a comment\n')
  const module = JSON.stringify(join(import.meta.dirname, '../../src/shared/settings/config.ts'))
  const entry = join(cwd, 'print.mjs')
  writeFileSync(
    entry,
    `import { loadConfig } from ${module}\nconsole.log(JSON.stringify(loadConfig({ LOG_LEVEL: 'warn' })))\n`,
  )
  const child = spawnNode(entry, [], { cwd, env: { PORT: '2222', LOG_LEVEL: 'error' } })
  await child.exited
  expect(JSON.parse(child.stdout)).toMatchObject({ port: 2222, logLevel: 'warn', keyPrefix: 'from-file' })
})
