import type { Command } from 'commander'
import { createClient, type Client } from '../client/client.ts'
import { readEnvironment } from '../shared/settings/environment.ts'
import { readLocalCredentials } from '../shared/process/local-credentials.ts'
import { resolve } from 'node:path'
import { UsageError } from './failures.ts'

/** Service and credentials of a command. */
export interface ConnectionOptions {
  url?: string
  key?: string
  /** Print one JSON document, or a line of JSON for each change. */
  json?: boolean
}

const DEFAULT_URL = 'http://127.0.0.1:3000'

/** Options of every command that calls the service and prints a result. */
export const withConnection = (command: Command): Command => withService(command.option('--json', 'print JSON'))

export const withService = (command: Command): Command =>
  command
    .option('--url <url>', `origin of the service (default: GENQUEUE_URL, else ${DEFAULT_URL})`)
    .option('--key <key>', 'API key (prefer GENQUEUE_API_KEY: arguments are visible to other users)')

/**
 * Service by the options, else by the environment. For a service on this machine, the default key is that of the local
 * installation: DEV_API_KEY, or the one in the data folder.
 */
export async function connect(options: ConnectionOptions): Promise<Client> {
  const env = readEnvironment()
  const named = options.url ?? (env['GENQUEUE_URL'] || DEFAULT_URL)
  const url = URL.canParse(named) ? new URL(named) : null
  if (url === null || !/^https?:$/.test(url.protocol)) throw new UsageError(`${named} is not an http(s) URL`)
  const key = options.key ?? (env['GENQUEUE_API_KEY'] || (await localKey(url, env)))
  if (!key) throw new UsageError(noKey(url, env))
  return createClient({ baseUrl: url.href, key })
}

const isLocal = ({ hostname }: URL): boolean => /^(localhost|127(?:\.\d{1,3}){3}|\[::1\])$/.test(hostname)
const dataDirOf = (env: Record<string, string | undefined>): string => env['DATA_DIR'] || '.data'

async function localKey(url: URL, env: Record<string, string | undefined>): Promise<string | undefined> {
  return isLocal(url) ? env['DEV_API_KEY'] || (await readLocalCredentials(dataDirOf(env)))?.apiKey : undefined
}

function noKey(url: URL, env: Record<string, string | undefined>): string {
  const local = isLocal(url)
    ? ` For a service on this machine, DATA_DIR can name its data folder: ${resolve(dataDirOf(env))} has no credentials.json.`
    : ''
  return `No API key. Set GENQUEUE_API_KEY, or pass --key.${local}`
}
