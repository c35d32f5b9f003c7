import { Command, CommanderError } from 'commander'
import { greeting } from './compose/greeting.ts'
import { provideLocalParts, type LocalParts } from './compose/local-parts.ts'
import { PresetError } from './shared/catalogue/read-preset.ts'
import { ConfigError, isLoopback, loadConfig, setVariables, type Config } from './shared/settings/config.ts'
import { misspelt } from './shared/settings/misspelt.ts'
import { isMember, sayRunning } from './shared/process/group-member.ts'
import { captureConsole, createLogger, type Logger } from './shared/process/logger.ts'
import { startGroup } from './shared/process/process-group.ts'
import { buildInScope, type Scope } from './shared/process/scope.ts'
import { forgetRunningService, writeRunningService } from './shared/process/running-service.ts'
import { messageOf } from './shared/values/error-text.ts'
import { SIMULATOR_TOKEN } from './shared/replicate/simulator-token.ts'

/**
 * role -> config -> compose -> start -> wait for a signal -> stop. With PROCESSES above 1 this process starts a group, whose
 * members run its command line again, and loads nothing of the service itself.
 */

/** Limit of a graceful shutdown, which waits for creates in flight, ms; then the process exits, which loses nothing. */
const STOP_DEADLINE_MS = 40_000
/** The same for a group, whose members have their own limit, ms. */
const STOP_GROUP_DEADLINE_MS = 42_000

/** How this process was started: the command for its help, and the arguments after it. */
export interface CommandLine {
  command: string
  args: readonly string[]
}

function readConfig({ command: name, args }: CommandLine): Config {
  const command = new Command(name)
    .description('Starts genqueue. All settings are environment variables, or lines of .env: docs/configuration.md.')
    .option('--role <role>', 'api, worker or all; takes precedence over ROLE')
    .option('--processes <number>', 'number of processes; takes precedence over PROCESSES')
    .exitOverride()
    .configureOutput({ outputError: () => undefined })
  const { role, processes } = command.parse(args, { from: 'user' }).opts<{ role?: string; processes?: string }>()
  return loadConfig({
    ...(role === undefined ? {} : { ROLE: role }),
    ...(processes === undefined ? {} : { PROCESSES: processes }),
  })
}

/** Whether Replicate would refuse the webhook URL; a simulator accepts http. */
const isRefusedWebhookUrl = ({ publicUrl }: Config, { replicate }: Pick<LocalParts, 'replicate'>): boolean =>
  publicUrl !== null && !publicUrl.startsWith('https:') && replicate.token !== SIMULATOR_TOKEN

function warn(
  config: Config,
  parts: Pick<LocalParts, 'devApiKey' | 'adminPassword' | 'replicate' | 'simulator'>,
  log: Logger,
): void {
  for (const { name, meant } of misspelt(setVariables()))
    log.warn({ variable: name, meant }, `${name} is not a setting of genqueue${meant ? `; ${meant} may be meant` : ''}`)
  if (parts.devApiKey !== null && !isLoopback(config.host) && config.role !== 'worker')
    log.warn({ host: config.host }, 'DEV_API_KEY has all rights and HOST is not loopback: keep it secret')
  if (parts.devApiKey === null && config.role !== 'worker')
    log.warn('DEV_API_KEY is not set: the API accepts only keys of tenants (genqueue keys create)')
  if (parts.adminPassword === null && config.role !== 'worker')
    log.warn('ADMIN_PASSWORD is not set: the queue board is closed')
  if (config.unpricedModels === 'allow')
    log.warn('UNPRICED_MODELS=allow: tenants with limited credit can run jobs without a price, free of charge')
  if (isRefusedWebhookUrl(config, parts))
    log.warn(
      { public_url: config.publicUrl },
      'PUBLIC_URL is not an https URL: Replicate refuses it as a webhook, and creation pauses. Set an https URL or remove it',
    )
  if (parts.simulator) log.warn('REPLICATE_API_TOKEN is not set: the simulator runs the predictions')
}

/** Ctrl-C arrives twice, from the terminal and from npm; only a signal after this time forces the exit, ms. */
const SAME_WISH_MS = 1_000

function onSignals(stop: () => Promise<void>, deadlineMs: number, log: Logger): void {
  let since: number | undefined
  const handle = (signal: NodeJS.Signals): void => {
    if (since !== undefined) {
      if (performance.now() - since < SAME_WISH_MS) return
      log.warn({ signal }, 'second signal; exiting at once')
      process.exit(130)
    }
    since = performance.now()
    log.info({ signal }, 'stopping')
    const deadline = setTimeout(() => {
      log.error('did not stop in time; exiting')
      process.exit(1)
    }, deadlineMs)
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

/** Starts everything, and greets. When `ended` aborts, the start stops between two steps. */
async function start(config: Config, log: Logger, scope: Scope, ended: AbortSignal) {
  // The data folder of role all holds private data of this machine: keys, files of Redis, the simulator's journal.
  if (config.role === 'all') process.umask(0o077)
  const parts = await provideLocalParts(config, log, scope, ended)
  if (!isMember()) warn(config, parts, log)
  // Stopped after the service.
  if (config.role === 'all') scope.defer('service file', () => forgetRunningService(config.dataDir))
  // Loaded here, because the process of a group needs nothing of it.
  const { startService } = await import('./compose/service.ts')
  const service = await startService({ config, ...parts, log, onWedged: () => process.exit(1) }, scope)
  ended.throwIfAborted()
  if (config.role === 'all' && service.url !== null)
    await writeRunningService(config.dataDir, {
      url: service.url,
      signInLinks: parts.devApiKey !== null,
      simulator: parts.simulator?.apiUrl ?? null,
    })
  sayRunning(service)
  // Only on a terminal, where the operator may read the generated key; else standard output has JSON lines only.
  if (!isMember() && (process.stdout.isTTY || config.role === 'all'))
    process.stdout.write(greeting(config, parts, service))
  else log.info({ url: service.url, health: service.healthUrl }, `genqueue is running (role ${config.role})`)
  return service
}

async function run(line: CommandLine): Promise<void> {
  const config = readConfig(line)
  const isGroup = config.processes > 1
  const log = createLogger({ level: config.logLevel, readable: process.stdout.isTTY, isShared: isGroup })
  captureConsole(log)
  await (isGroup && !isMember() ? runGroup(config, log) : runService(config, log))
}

/** Starts the processes of a group, and keeps them running until a signal. */
async function runGroup(config: Config, log: Logger): Promise<void> {
  const { role, processes, devApiKey, adminPassword } = config
  const { token, baseUrl } = config.replicate
  const parts = {
    devApiKey,
    adminPassword,
    replicate: { token: token ?? '', baseUrl },
    simulator: null,
    printsSecrets: false,
    made: { apiKey: false, adminPassword: false },
  }
  warn(config, parts, log)
  const group = startGroup({ size: processes, log })
  if (!process.stdout.isTTY) process.on('SIGHUP', () => group.signal('SIGHUP'))
  let isStopping = false
  const stop = async (): Promise<void> => {
    isStopping = true
    await group.stop()
  }
  onSignals(stop, STOP_GROUP_DEADLINE_MS, log)
  // Signals are handled from here on.
  log.info({ role, processes, node: process.version }, 'genqueue is starting a group of processes')
  const serving = await group.running.catch((error: unknown) => {
    // The process has reported the reason itself.
    if (!isStopping) throw error
  })
  if (serving === undefined || isStopping) return
  if (process.stdout.isTTY) process.stdout.write(greeting(config, parts, { ...serving, signInUrl: null }))
  log.info(
    { url: serving.url, health: serving.healthUrl },
    `genqueue is running (role ${role}, ${processes} processes)`,
  )
}

async function runService(config: Config, log: Logger): Promise<void> {
  const ended = new AbortController()
  const begin = () => buildInScope(log, (scope) => start(config, log, scope, ended.signal))
  let service: ReturnType<typeof begin> | undefined
  // SIGHUP from a closing terminal ends the process; elsewhere it reloads the presets.
  if (!process.stdout.isTTY)
    process.on('SIGHUP', () => {
      service?.then(({ reload }) => reload()).catch((error: unknown) => log.debug({ err: error }, 'nothing to reload'))
    })
  onSignals(
    async () => {
      // A start in progress ends after its current step, and stops the parts that it started.
      ended.abort(new Error('a signal ended the start'))
      const running = await service?.catch(() => undefined)
      await running?.stop()
    },
    STOP_DEADLINE_MS,
    log,
  )
  const { VERSION } = await import('./shared/process/version.ts')
  // Signals are handled from here on.
  log.info({ version: VERSION, role: config.role, node: process.version }, 'genqueue is starting')
  service = begin()
  await service.catch((error: unknown) => {
    if (!ended.signal.aborted) throw error
  })
}

/** Describes an error of the operator in words; other errors with their stack. */
function explain(error: unknown): string {
  if (error instanceof PresetError) return `Invalid presets:\n  ${error.message.replaceAll('\n', '\n  ')}`
  if (error instanceof ConfigError) return `Invalid configuration:\n  ${error.message.replaceAll('\n', '\n  ')}`
  return messageOf(error).replace(/^error: /, '')
}

/** Runs the service in this process until a signal ends both. Reports every error itself. */
export async function runProcess(line: CommandLine): Promise<void> {
  await run(line).catch((error: unknown) => {
    // The help was asked for, and printed.
    if (error instanceof CommanderError && error.exitCode === 0) process.exit(0)
    // Plain text for the operator, also where standard output is collected as JSON lines.
    process.stderr.write(`\ngenqueue could not start. ${explain(error)}\n`)
    process.exit(1)
  })
}
