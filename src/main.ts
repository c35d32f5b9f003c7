import { parseArgs } from 'node:util'
import { startService, type Service } from './compose.ts'
import { VERSION } from './compose/core.ts'
import { greeting } from './greeting.ts'
import { provideLocalParts, type LocalParts } from './local-parts.ts'
import { PresetError } from './shared/catalogue/read-preset.ts'
import { ConfigError, isLoopback, loadConfig, misspelt, setVariables, type Config } from './shared/config.ts'
import { captureConsole, createLogger, type Logger } from './shared/logger.ts'
import { forgetRunningService, writeRunningService } from './shared/running-service.ts'

/** role -> config -> compose -> start -> wait for a signal -> stop */

/** A create under way is worth waiting for; beyond this, ending hard is the same as being killed, which loses nothing. */
const STOP_DEADLINE_MS = 40_000

function readConfig(): Config {
  const { values } = parseArgs({ options: { role: { type: 'string' } }, strict: true })
  return loadConfig(values.role === undefined ? {} : { ROLE: values.role })
}

function warn(config: Config, parts: LocalParts, log: Logger): void {
  for (const { name, meant } of misspelt(setVariables()))
    log.warn({ variable: name, meant }, `${name} is not a setting of genqueue${meant ? `; ${meant} may be meant` : ''}`)
  if (parts.devApiKey !== null && !isLoopback(config.host) && config.role !== 'worker')
    log.warn({ host: config.host }, 'DEV_API_KEY has every right and HOST is not loopback: keep it secret')
  if (parts.devApiKey === null && config.role !== 'worker')
    log.warn('DEV_API_KEY is not set: only keys of tenants open the API (genqueue keys create)')
  if (parts.adminPassword === null && config.role !== 'worker')
    log.warn('ADMIN_PASSWORD is not set: the queue board is closed')
  if (config.unpricedModels === 'allow')
    log.warn('UNPRICED_MODELS=allow: tenants with limited credit run jobs that have no price, free of charge')
  if (parts.simulator) log.warn('REPLICATE_API_TOKEN is not set: predictions are made by the simulator')
}

/** Ctrl-C reaches us twice, from the terminal and from npm: only a later signal is a second wish. */
const SAME_WISH_MS = 1_000

function onSignals(stop: () => Promise<void>, log: Logger): void {
  let since: number | undefined
  const handle = (signal: NodeJS.Signals): void => {
    if (since !== undefined) {
      if (performance.now() - since < SAME_WISH_MS) return
      log.warn({ signal }, 'ending at once')
      process.exit(130)
    }
    since = performance.now()
    log.info({ signal }, 'stopping')
    const deadline = setTimeout(() => {
      log.error('did not stop in time; ending')
      process.exit(1)
    }, STOP_DEADLINE_MS)
    deadline.unref()
    stop().then(
      () => {
        log.info('stopped')
        process.exit(0)
      },
      (error: unknown) => {
        log.error({ err: error }, 'did not stop cleanly')
        process.exit(1)
      },
    )
  }
  process.on('SIGINT', handle)
  process.on('SIGTERM', handle)
}

async function main(): Promise<void> {
  const config = readConfig()
  const log = createLogger({ level: config.logLevel, readable: process.stdout.isTTY })
  captureConsole(log)
  let parts: LocalParts | undefined
  let service: Service | undefined
  // A terminal that is closed ends what runs in it; everywhere else the signal means: read again.
  if (!process.stdout.isTTY) process.on('SIGHUP', () => void service?.reload())
  const ended = new AbortController()
  async function start(): Promise<void> {
    try {
      // What role all keeps in its data folder is of this machine alone: keys, files of Redis, the simulator's journal.
      if (config.role === 'all') process.umask(0o077)
      parts = await provideLocalParts(config, log, ended.signal)
      warn(config, parts, log)
      service = await startService({ config, ...parts, log, onWedged: () => process.exit(1) })
      ended.signal.throwIfAborted()
      if (config.role === 'all' && service.url !== null)
        await writeRunningService(config.dataDir, { url: service.url, signInLinks: parts.devApiKey !== null })
      // On a terminal, and where a person may read the key that was made; else standard output has JSON lines only.
      if (process.stdout.isTTY || config.role === 'all') process.stdout.write(greeting(config, parts, service))
      else log.info({ url: service.url, health: service.healthUrl }, `genqueue is running (role ${config.role})`)
    } catch (error) {
      await service?.stop()
      await parts?.stop()
      throw error
    }
  }
  let started: Promise<void> = Promise.resolve()
  onSignals(async () => {
    // A start under way ends with its present step, and undoes what it has begun.
    ended.abort(new Error('a signal ended the start'))
    await started.catch(() => undefined)
    await service?.stop()
    if (config.role === 'all') await forgetRunningService(config.dataDir)
    await parts?.stop()
  }, log)
  // From here on a signal is obeyed.
  log.info({ version: VERSION, role: config.role, node: process.version }, 'genqueue starts')
  started = start()
  await started.catch((error: unknown) => {
    if (!ended.signal.aborted) throw error
  })
}

/** What a person must mend is told in words; a stack helps only with our own mistakes. */
function explain(error: unknown): string {
  if (error instanceof PresetError) return `The presets are wrong:\n  ${error.message.replaceAll('\n', '\n  ')}`
  if (error instanceof ConfigError) return `The configuration is wrong:\n  ${error.message.replaceAll('\n', '\n  ')}`
  return error instanceof Error ? error.message : String(error)
}

main().catch((error: unknown) => {
  // Also where standard output is collected as JSON lines: this one is for the person who starts it.
  process.stderr.write(`\ngenqueue could not start. ${explain(error)}\n`)
  process.exit(1)
})
