import { openForOperators, type OperatorTools } from '../compose/operators.ts'
import { ConfigError, loadConfig, type Config } from '../shared/config.ts'
import { ServiceError } from '../shared/errors.ts'
import { createLogger } from '../shared/logger.ts'
import { EXIT, UnreachableError } from './failures.ts'

/**
 * Does something with the deployment that the configuration names, whether its processes run or not. Answers the exit
 * code: 4 when it cannot be done, with the reason on stderr. Throws when the deployment cannot be reached.
 */
export async function operate(work: (tools: OperatorTools, config: Config) => Promise<number>): Promise<number> {
  // What operators need is the same for every role.
  const config = loadConfig({ ROLE: 'all' })
  const tools = await openForOperators(config, createLogger({ level: 'silent', readable: false })).catch(
    (error: unknown) => {
      if (error instanceof ConfigError) throw error
      throw new UnreachableError(error instanceof Error ? error.message : String(error), { cause: error })
    },
  )
  try {
    return await work(tools, config)
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error
    process.stderr.write(`genqueue: ${error.message}\n`)
    return EXIT.refused
  } finally {
    await tools.close()
  }
}
