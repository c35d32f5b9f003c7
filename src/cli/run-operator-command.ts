import { openDoctor } from '../compose/open-doctor.ts'
import type { Doctor } from '../compose/doctor.ts'
import { openForOperators, type OperatorTools } from '../compose/operators.ts'
import { ConfigError, loadConfig, type Config } from '../shared/settings/config.ts'
import { messageOf } from '../shared/values/error-text.ts'
import { ServiceError } from '../shared/errors/service-error.ts'
import { createLogger } from '../shared/process/logger.ts'
import { buildInScope } from '../shared/process/scope.ts'
import { isRedisTrouble } from '../shared/redis/trouble.ts'
import { RefusedError, UnreachableError } from './failures.ts'

/** Runs the doctor, which opens what it can and reports the rest. */
export async function withDoctor<T>(work: (doctor: Doctor) => Promise<T>): Promise<T> {
  const log = createLogger({ level: 'silent', readable: false })
  const doctor = await buildInScope(log, (scope) => openDoctor(loadConfig({ ROLE: 'all' }), log, scope))
  try {
    return await work(doctor)
  } finally {
    await doctor.stop()
  }
}

/**
 * Runs an operator command on the configured deployment, whose processes need not be running. Returns the exit code; throws
 * `UnreachableError` when Redis does not respond, `RefusedError` when the operation is refused.
 */
export async function runOperatorCommand(
  work: (tools: OperatorTools, config: Config) => Promise<number>,
): Promise<number> {
  // The role does not matter for operators.
  const config = loadConfig({ ROLE: 'all' })
  const log = createLogger({ level: 'silent', readable: false })
  const tools = await buildInScope(log, (scope) => openForOperators(config, log, scope)).catch((error: unknown) => {
    if (error instanceof ConfigError) throw error
    throw new UnreachableError(messageOf(error), { cause: error })
  })
  try {
    return await work(tools, config)
  } catch (error) {
    if (error instanceof ServiceError) throw new RefusedError(error.code, error.message, error.fields)
    if (isRedisTrouble(error))
      throw new UnreachableError(`Redis does not respond: ${messageOf(error)}`, {
        cause: error,
      })
    throw error
  } finally {
    await tools.stop()
  }
}
