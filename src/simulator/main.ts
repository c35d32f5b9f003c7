import { readSettings, type Settings, usage } from './options.ts'
import { type Simulator, startSimulator } from './start-simulator.ts'

/** `npm run simulator -- --port 4010` */

const print = (text: string) => void process.stdout.write(`${text}\n`)

async function main(): Promise<void> {
  const settings = readSettings(process.argv.slice(2))
  if (settings === null) return print(usage().trimEnd())
  const { data, ...options } = settings
  const simulator = await startSimulator({ ...options, dataDir: data ?? null })
  stopOnSignal(simulator)
  print(greeting(simulator, settings))
}

function greeting({ url, apiUrl }: Simulator, settings: Settings): string {
  return [
    `Simulator of Replicate's API: ${apiUrl}`,
    `Books and faults:             ${url}/_sim/books, ${url}/_sim/faults`,
    `Data:                         ${settings.data ?? 'in memory only (--data <folder> keeps it)'}`,
    '',
    'Try it:',
    `  curl -s ${apiUrl}/models/black-forest-labs/flux-schnell/predictions -H 'Authorization: Bearer any' -H 'Content-Type: application/json' -H 'Prefer: wait' -d '{"input":{"prompt":"a lighthouse at sunset"}}'`,
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
