import { parseArgs } from 'node:util'
import { startService } from '../../src/compose/service.ts'
import { loadConfig } from '../../src/shared/settings/config.ts'
import type { ServiceOptions } from '../../src/compose/core.ts'
import { createLogger } from '../../src/shared/process/logger.ts'
import { buildInScope } from '../../src/shared/process/scope.ts'
import type { Timings } from '../../src/shared/jobs/rules/timings.ts'
import { strikeAt, type Strike } from './borders.ts'

/** One api or worker as src/main.ts runs it, with the durations and the strike that the harness asks for. */

const { values } = parseArgs({
  options: { role: { type: 'string' }, timings: { type: 'string' }, strike: { type: 'string' } },
})
const config = loadConfig({ ROLE: values.role })
const log = createLogger({ level: config.logLevel, readable: false })
const timings = JSON.parse(values.timings ?? '{}') as Partial<Timings>
const strike = values.strike === undefined ? null : (JSON.parse(values.strike) as Strike)

let stop = async (): Promise<void> => undefined
process.on('SIGTERM', () => {
  stop().then(
    () => process.exit(0),
    () => process.exit(1),
  )
})
const options: ServiceOptions = {
  config,
  redisUrl: config.redisUrl ?? '',
  replicate: { token: config.replicate.token ?? '', baseUrl: config.replicate.baseUrl },
  devApiKey: config.devApiKey,
  adminPassword: null,
  signInLink: false,
  timings,
  onWedged: () => process.exit(1),
  ...(strike === null ? {} : { wrap: strikeAt(strike) }),
  log,
}
const service = await buildInScope(log, (scope) => startService(options, scope))
stop = service.stop
process.stdout.write('chaos: running\n')
