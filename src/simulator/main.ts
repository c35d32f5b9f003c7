import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { readSettings, type Settings, usage } from './options.ts'
import { type Simulator, startSimulator } from './start-simulator.ts'

/** `npm run simulator -- --port 4010` */

const print = (text: string) => void process.stdout.write(`${text}\n`)

async function main(): Promise<void> {
  const settings = readSettings(process.argv.slice(2))
  if (settings === null) return print(usage().trimEnd())
  const { data, tls, ...options } = settings
  const simulator = await startSimulator({ ...options, dataDir: data ?? null, tls: tls !== undefined })
  stopOnSignal(simulator)
  if (simulator.ca !== null) print(trust(simulator.ca, tls))
  print(greeting(simulator, settings))
}

/** Writes the certificate that clients have to trust, and says how they do. */
function trust(ca: string, to: string | true | undefined): string {
  const file =
    typeof to === 'string' ? resolve(to) : join(mkdtempSync(join(tmpdir(), 'replicate-simulator-')), 'ca.pem')
  writeFileSync(file, ca)
  return [
    ca.trimEnd(),
    `Certificate to trust:         ${file}`,
    `  Node                        NODE_EXTRA_CA_CERTS=${file}`,
    `  Python, Go, OpenSSL         SSL_CERT_FILE=${file}`,
    `  curl                        --cacert ${file}`,
  ].join('\n')
}

function greeting({ url, apiUrl, ca }: Simulator, settings: Settings): string {
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

function stopOnSignal(simulator: Simulator): void {
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
