import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { cannot } from './cannot.ts'
import { readSettings, type Settings, usage } from './options.ts'
import type { Served } from './served.ts'
import type { ModelFile } from './models/model.ts'
import { REPLICATE_API } from './replicate-hosts.ts'
import { importModel, importModels, startRecorder, startReplay, startSimulator } from './start-simulator.ts'

/** The command `replicate-simulator`, and `npm run simulator` in a checkout. */

const print = (text: string) => void process.stdout.write(`${text}\n`)

type Entry = NonNullable<ModelFile['models']>[number]

async function main(): Promise<void> {
  const settings = readSettings(process.argv.slice(2))
  if (settings === null) return print(usage().trimEnd())
  if (settings.import !== undefined) return print(JSON.stringify(await imported(settings.import, settings), null, 2))
  const served = await start(settings)
  stopOnSignal(served)
  if (served.ca !== null) {
    try {
      print(trust(served.ca, settings.tls))
    } catch (error) {
      await served.stop()
      throw error
    }
  }
  print(greeting(served, settings))
}

/** Models of Replicate, by their names or by files of its answers, as a models file. */
async function imported(
  sources: readonly string[],
  { upstream = REPLICATE_API, token = '' }: Settings,
): Promise<ModelFile> {
  const isFile = (source: string): boolean => source.endsWith('.json')
  const read = sources.filter(isFile).map((path) => importSaved(path))
  const { models = [] } = await importModels(
    sources.filter((source) => !isFile(source)),
    upstream,
    token,
  )
  return { models: [...models, ...(await Promise.all(read))] }
}

/** @param path a saved answer of the API */
async function importSaved(path: string): Promise<Entry> {
  try {
    return await importModel(JSON.parse(readFileSync(path, 'utf8')))
  } catch (cause) {
    throw cannot(`import a model from ${path}`, cause)
  }
}

function start({ data, tls, record, replay, upstream, token, ...options }: Settings): Promise<Served> {
  const { host, port } = options
  const where = { host, port, tls: tls !== undefined, ...(upstream === undefined ? {} : { upstream }) }
  if (record !== undefined) {
    return startRecorder({ ...where, file: record, ...(token === undefined ? {} : { token }), log })
  }
  if (replay !== undefined) return startReplay({ ...where, file: replay })
  return startSimulator({ ...options, dataDir: data ?? null, tls: tls !== undefined })
}

/** What went wrong while a request was answered. */
const log = (line: object): void => void process.stderr.write(`${JSON.stringify(line)}\n`)

/** Writes the certificate that clients have to trust, and says how they do. */
function trust(ca: string, to: string | true | undefined): string {
  const file =
    typeof to === 'string' ? resolve(to) : join(mkdtempSync(join(tmpdir(), 'replicate-simulator-')), 'ca.pem')
  try {
    writeFileSync(file, ca)
  } catch (cause) {
    throw cannot(`write the certificate to ${file}`, cause)
  }
  return [
    ca.trimEnd(),
    `Certificate to trust:         ${file}`,
    `  Node                        NODE_EXTRA_CA_CERTS=${file}`,
    `  Python, Go, OpenSSL         SSL_CERT_FILE=${file}`,
    `  curl                        --cacert ${file}`,
  ].join('\n')
}

function greeting(served: Served, settings: Settings): string {
  const { url, apiUrl, ca } = served
  if (settings.record !== undefined)
    return `Recorder of Replicate's API:  ${apiUrl}\nRecording:                    ${settings.record}`
  if (settings.replay !== undefined)
    return `Replay of Replicate's API:    ${apiUrl}\nRecording:                    ${settings.replay}`
  const curl = ca === null ? 'curl -s' : 'curl -sk'
  return [
    `Simulator of Replicate's API: ${apiUrl}`,
    `Books and faults:             ${url}/_sim/books, ${url}/_sim/faults`,
    `Data:                         ${settings.data ?? 'in memory only (--data <folder> keeps it)'}`,
    '',
    'Try it:',
    `  ${curl} ${apiUrl}/models/black-forest-labs/flux-schnell/predictions -H 'Authorization: Bearer any' -H 'Content-Type: application/json' -H 'Prefer: wait' -d '{"input":{"prompt":"a lighthouse at sunset"}}'`,
  ].join('\n')
}

/** Ctrl-C sends the signal twice, from the terminal and from npm; only a later one is a second request. */
const SAME_WISH_MS = 1_000

function stopOnSignal(simulator: Served): void {
  let since: number | undefined
  const stop = () => {
    if (since === undefined) {
      since = performance.now()
      void simulator.stop().then(() => process.exit(0))
    } else if (performance.now() - since > SAME_WISH_MS) process.exit(130)
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
}

try {
  await main()
} catch (error) {
  process.stderr.write(`simulator: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
