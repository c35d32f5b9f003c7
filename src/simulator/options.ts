import { Command } from 'commander'
import { type ClockKind, CLOCKS } from './clock.ts'

/** The simulator's settings: flags win over `SIMULATOR_*`. The only file of it that reads the environment. */

export interface Settings {
  port: number
  host: string
  speed: number
  createsPerMinute: number
  readsPerMinute: number
  burst?: number
  data?: string
  models?: string
  credit?: number
  seed?: number
  clock: ClockKind
  /** Where the authority's certificate is written; true: into a temporary folder. */
  tls?: string | true
  record?: string
  replay?: string
  /** With `record` and `replay`. */
  upstream?: string
  /** With `record` and `import`: for the upstream. */
  token?: string
  /** Models by `owner/name`, or a file of the API's answer, by commas: printed as a models file. */
  import?: string[]
}

/** An invalid setting; the message says what was read and what is expected. */
export class SettingsError extends Error {
  override name = 'SettingsError'
}

interface Setting {
  flag: string
  expects: string
  help: string
  fallback?: string
  /** The flag may stand without a value. */
  bare?: true
}

const SETTINGS: Record<keyof Settings, Setting> = {
  port: {
    flag: 'port',
    expects: 'a whole number from 0 to 65535',
    fallback: '4010',
    help: 'where to listen; 0: any free port',
  },
  host: { flag: 'host', expects: 'a host name or address', fallback: '127.0.0.1', help: 'where to listen' },
  speed: { flag: 'speed', expects: 'a number above 0', fallback: '1', help: 'divides run times, nothing else' },
  createsPerMinute: {
    flag: 'creates-per-minute',
    expects: 'a number above 0',
    fallback: '600',
    help: 'budget of creates',
  },
  readsPerMinute: {
    flag: 'reads-per-minute',
    expects: 'a number above 0',
    fallback: '3000',
    help: 'budget of everything else',
  },
  burst: {
    flag: 'burst',
    expects: 'a whole number from 1',
    help: "size of both buckets; default: a minute's worth of each",
  },
  data: { flag: 'data', expects: 'a folder', help: 'folder of the journal; default: in memory only' },
  credit: {
    flag: 'credit',
    expects: 'a number of US dollars from 0',
    help: "the account's credit; under 5 creates are limited; default: unlimited",
  },
  models: { flag: 'models', expects: 'a JSON file', help: 'more models and deployments' },
  seed: {
    flag: 'seed',
    expects: 'a whole number',
    help: "repeatable run times; default: the data folder's, or random",
  },
  clock: {
    flag: 'clock',
    expects: CLOCKS.join(' or '),
    fallback: 'real',
    help: 'manual: the time only moves by POST /_sim/clock',
  },
  tls: {
    flag: 'tls',
    expects: 'nothing, or a file for the certificate that clients have to trust',
    help: 'serve https; the certificate to trust is printed and written to this file',
    bare: true,
  },
  record: {
    flag: 'record',
    expects: 'a file',
    help: "stand between clients and Replicate, and write what both say to this file; runs cost Replicate's prices",
  },
  replay: { flag: 'replay', expects: 'a file', help: 'answer as recorded in this file' },
  upstream: {
    flag: 'upstream',
    expects: 'the URL of an API',
    help: 'of --record, --replay and --import; default: https://api.replicate.com',
  },
  token: {
    flag: 'token',
    expects: 'a token of Replicate',
    help: "for --record, by default the client's, and --import, by default REPLICATE_API_TOKEN",
  },
  import: {
    flag: 'import',
    expects: 'names of models, or JSON files, with commas between them',
    help: 'print these models of Replicate as a file for --models, and end',
  },
}

const variableOf = (flag: string) => `SIMULATOR_${flag.toUpperCase().replaceAll('-', '_')}`

function commandOf(): Command {
  const command = new Command('replicate-simulator')
    .helpOption(false)
    .exitOverride()
    .configureOutput({
      // The caller prints the error.
      writeErr: () => undefined,
    })
  for (const { flag, help, fallback, bare } of Object.values(SETTINGS)) {
    const byDefault = fallback === undefined ? '' : ` (${fallback})`
    command.option(`--${flag} ${bare === true ? '[file]' : '<value>'}`, `${help}${byDefault}; ${variableOf(flag)}`)
  }
  return command.option('-h, --help', 'show this help')
}

export const usage = (): string => commandOf().helpInformation()

/** @returns null when help was requested */
export function readSettings(args: string[], environment: NodeJS.ProcessEnv = process.env): Settings | null {
  const flags = parseFlags(args)
  if (flags.help) return null
  const read = (name: keyof Settings) => {
    const { flag, fallback } = SETTINGS[name]
    const [given, variable] = [flags[name], environment[variableOf(flag)]]
    if (given !== undefined) return { value: given === true ? 'true' : given, from: `--${flag}` }
    if (variable !== undefined && variable !== '') return { value: variable, from: variableOf(flag) }
    return fallback === undefined ? null : { value: fallback, from: `--${flag}` }
  }
  const number = (name: keyof Settings, isValid: (value: number) => boolean): number | undefined => {
    const found = read(name)
    if (found === null) return undefined
    const value = found.value.trim() === '' ? Number.NaN : Number(found.value)
    if (Number.isFinite(value) && isValid(value)) return value
    throw new SettingsError(`${found.from} is "${found.value}", expected ${SETTINGS[name].expects}`)
  }
  const text = (name: keyof Settings): string | undefined => {
    const found = read(name)
    if (found === null || found.value.trim() !== '') return found?.value
    throw new SettingsError(`${found.from} is empty, expected ${SETTINGS[name].expects}`)
  }
  const oneOf = <Word extends string>(name: keyof Settings, words: readonly [Word, ...Word[]]): Word => {
    const found = read(name)
    const word = words.find((one) => one === found?.value) ?? (found === null ? words[0] : undefined)
    if (word !== undefined) return word
    throw new SettingsError(`${found?.from} is "${found?.value}", expected ${SETTINGS[name].expects}`)
  }
  const burst = number('burst', (value) => Number.isInteger(value) && value >= 1)
  const credit = number('credit', (value) => value >= 0)
  const seed = number('seed', Number.isSafeInteger)
  const data = text('data')
  const models = text('models')
  const tls = tlsOf(text('tls'))
  const [record, replay, upstream] = [text('record'), text('replay'), text('upstream')]
  const imports = text('import')?.split(',')
  const token = text('token') ?? (imports === undefined ? undefined : environment['REPLICATE_API_TOKEN'])
  if (record !== undefined && replay !== undefined) throw new SettingsError('--record and --replay exclude each other')
  if (upstream !== undefined && !URL.canParse(upstream))
    throw new SettingsError(`--upstream is "${upstream}", expected ${SETTINGS.upstream.expects}`)
  return {
    port: number('port', (value) => Number.isInteger(value) && value >= 0 && value <= 65_535) ?? 0,
    host: text('host') ?? '',
    speed: number('speed', above0) ?? 1,
    createsPerMinute: number('createsPerMinute', above0) ?? 1,
    readsPerMinute: number('readsPerMinute', above0) ?? 1,
    clock: oneOf('clock', CLOCKS),
    ...(burst === undefined ? {} : { burst }),
    ...(credit === undefined ? {} : { credit }),
    ...(seed === undefined ? {} : { seed }),
    ...(data === undefined ? {} : { data }),
    ...(models === undefined ? {} : { models }),
    ...(record === undefined ? {} : { record }),
    ...(replay === undefined ? {} : { replay }),
    ...(upstream === undefined ? {} : { upstream }),
    ...(token === undefined ? {} : { token }),
    ...(imports === undefined ? {} : { import: imports }),
    ...(tls === undefined ? {} : { tls }),
  }
}

/** A variable can say no, too. */
function tlsOf(value: string | undefined): string | true | undefined {
  if (value === 'true' || value === '1') return true
  return value === 'false' || value === '0' ? undefined : value
}

const above0 = (value: number) => value > 0

type Flags = { [Name in keyof Settings]?: string | true } & { help?: true }

function parseFlags(args: string[]): Flags {
  try {
    return commandOf().parse(args, { from: 'user' }).opts<Flags>()
  } catch (error) {
    throw new SettingsError(error instanceof Error ? error.message.replace(/^error: /, '') : String(error))
  }
}
