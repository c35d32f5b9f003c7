import { readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'

/** Variables as they were set; the only file of the service and its tools that reads the environment. */

export type Variables = Record<string, string | undefined>

/** A setting that cannot be used: meant for the person who made it. */
export class ConfigError extends Error {
  override name = 'ConfigError'
}

/** The environment wins over `.env` in the working folder. */
export function readEnvironment(): Variables {
  return { ...readDotEnv('.env'), ...process.env }
}

/** The environment for programs that are started here (apt, docker, redis-server). */
export function childEnvironment(): Variables {
  return { ...process.env }
}

function readDotEnv(file: string): Variables {
  try {
    return parseEnv(readFileSync(file, 'utf8'))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {}
    throw new ConfigError(`${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  }
}
