import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { CreateBucketCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3'
import { afterFile } from '../after-file.ts'
import { freePort } from '../free-port.ts'
import { spawnProcess } from '../spawn-process.ts'
import { tempDir } from '../temp-dir.ts'
import { waitFor } from '../wait-for.ts'
import { findUnpackedRadosgw, radosgw, unpackRadosgw, type Radosgw } from './unpack-radosgw.ts'

const MINIO = 'minio/minio:RELEASE.2025-09-07T16-13-09Z'

/** A real S3 server of a test file's own. It ends with the file at the latest. */
export interface S3Server {
  endpoint: string
  port: number
  region: string
  accessKeyId: string
  secretAccessKey: string
  /** Whether it answers ranges rightly: radosgw 18.2.7 on SQLite sends the first bytes in place of those asked for. */
  hasRanges: boolean
  client: S3Client
  /** A new bucket; its name. */
  bucket(): Promise<string>
  /** All keys of a bucket. */
  keys(bucket: string): Promise<string[]>
  stop(): Promise<void>
}

const say = (message: string): void => void process.stderr.write(`tests: ${message}\n`)

const wordsOf = (error: unknown): string =>
  error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)

const dockerAnswers = (): Promise<boolean> =>
  promisify(execFile)('docker', ['version', '--format', '{{.Server.Version}}'], { timeout: 5000 }).then(
    () => true,
    () => false,
  )

/**
 * Whether S3 is tested here: with CI=true and by `npm run test:s3` always; otherwise where a server is at hand, so that
 * no test waits for a download.
 */
export async function s3IsTested(): Promise<boolean> {
  const isWanted = process.env['CI'] === 'true' || process.env['TEST_S3'] === 'true'
  if (isWanted || (await findUnpackedRadosgw()) || (await dockerAnswers())) return true
  say('no S3 server is at hand, so S3 is not tested; `npm run test:s3` fetches one')
  return false
}

/** Throws with every way that was tried and why it failed. */
export async function startS3Server(): Promise<S3Server> {
  const failures: string[] = []
  const tryOne = async (name: string, start: () => Promise<S3Server>): Promise<S3Server | null> => {
    try {
      return await start()
    } catch (error) {
      failures.push(`${name}: ${wordsOf(error)}`)
      return null
    }
  }
  const unpacked = await findUnpackedRadosgw()
  const server =
    (unpacked && (await tryOne('radosgw of the cache', () => startRadosgw(unpacked)))) ??
    ((await dockerAnswers()) ? await tryOne('MinIO in a container', startMinio) : null) ??
    (await tryOne('radosgw of the archive', async () => startRadosgw(await unpackRadosgw(say))))
  if (!server) throw new Error(`no S3 server could be provided: ${failures.join('; ')}`)
  afterFile(() => server.stop())
  return server
}

/**
 * Some of its programs, about one start in thirty, stand still before they did anything; they answer within a tenth of a
 * second otherwise. So one that says nothing for long is ended and another one started, with nothing of the first.
 */
const RADOSGW_TRIES = 6

async function startRadosgw(own: Radosgw, tries = RADOSGW_TRIES): Promise<S3Server> {
  try {
    return await startRadosgwOnce(own)
  } catch (error) {
    if (tries <= 1) throw error
    say(`radosgw did not start, retrying: ${wordsOf(error)}`)
    return startRadosgw(own, tries - 1)
  }
}

async function startRadosgwOnce(own: Radosgw): Promise<S3Server> {
  const folder = tempDir()
  const data = join(folder, 'data')
  mkdirSync(data)
  const port = await freePort()
  const [accessKeyId, secretAccessKey] = [randomBytes(10).toString('hex'), randomBytes(20).toString('hex')]
  const settings = {
    rgw_backend_store: 'dbstore',
    dbstore_db_dir: data,
    rgw_data: data,
    rgw_config_store: 'dbstore',
    dbstore_config_uri: `file://${join(data, 'config.db')}`,
    keyring: join(folder, 'keyring'),
    admin_socket: join(folder, 'socket'),
    log_file: join(folder, 'log'),
    mon_host: '127.0.0.1',
    rgw_frontends: `beast endpoint=127.0.0.1:${port}`,
  }
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`)
  const config = join(folder, 'ceph.conf')
  writeFileSync(config, ['[global]', 'auth_cluster_required = none', '[client]', ...lines, ''].join('\n'))
  writeFileSync(join(folder, 'keyring'), '')
  const common = ['-c', config, '--no-mon-config', '-n', 'client.admin']
  await radosgw(own, 'radosgw-admin', [
    ...common,
    ...`user create --uid app --display-name app --access-key ${accessKeyId} --secret-key ${secretAccessKey}`.split(
      ' ',
    ),
  ])
  const program = join(own.folder, 'usr', 'bin', 'radosgw')
  const child = spawnProcess(own.loader, ['--library-path', own.libraries, program, '-f', ...common])
  try {
    await answers(`http://127.0.0.1:${port}`, 10_000)
  } catch (error) {
    await child.kill('SIGKILL')
    throw error
  }
  return s3Server(
    port,
    { accessKeyId, secretAccessKey, hasRanges: false },
    async () => void (await child.kill('SIGKILL')),
  )
}

async function startMinio(): Promise<S3Server> {
  const { GenericContainer } = await import('testcontainers')
  const [accessKeyId, secretAccessKey] = [randomBytes(10).toString('hex'), randomBytes(20).toString('hex')]
  const container = await new GenericContainer(MINIO)
    .withCommand(['server', '/data'])
    .withEnvironment({ MINIO_ROOT_USER: accessKeyId, MINIO_ROOT_PASSWORD: secretAccessKey })
    .withExposedPorts(9000)
    .start()
  const port = container.getMappedPort(9000)
  await answers(`http://127.0.0.1:${port}`, 30_000)
  return s3Server(port, { accessKeyId, secretAccessKey, hasRanges: true }, async () => void (await container.stop()))
}

const answers = (url: string, timeout: number) =>
  waitFor(`${url} to answer`, async () => (await fetch(url, { signal: AbortSignal.timeout(timeout) })).status > 0, {
    timeout,
    interval: 20,
  })

function s3Server(
  port: number,
  own: Pick<S3Server, 'accessKeyId' | 'secretAccessKey' | 'hasRanges'>,
  end: () => Promise<void>,
): S3Server {
  const endpoint = `http://127.0.0.1:${port}`
  const region = 'us-east-1'
  const client = new S3Client({ endpoint, region, credentials: own, forcePathStyle: true })
  return {
    endpoint,
    port,
    region,
    ...own,
    client,
    async bucket() {
      const name = `test-${randomBytes(6).toString('hex')}`
      await client.send(new CreateBucketCommand({ Bucket: name }))
      return name
    },
    async keys(bucket) {
      const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket }))
      return Contents.flatMap(({ Key }) => Key ?? []).sort()
    },
    async stop() {
      client.destroy()
      await end()
    },
  }
}
