import { readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import { hasCode, messageOf } from '../values/error-text.ts'

/** Raw environment variables; the only file of the service and its tools that reads the environment. */

export type Variables = Record<string, string | undefined>

/** Invalid setting; the message is for the operator. */
export class ConfigError extends Error {
  override name = 'ConfigError'
}

/** Reads the environment, which wins over `.env` in the working folder. */
export function readEnvironment(): Variables {
  return { ...readDotEnv('.env'), ...process.env }
}

/** Environment for child processes (apt, docker, redis-server). */
export function childEnvironment(): Variables {
  return { ...process.env }
}

function readDotEnv(file: string): Variables {
  try {
    return parseEnv(readFileSync(file, 'utf8'))
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return {}
    throw new ConfigError(`${file} could not be read: ${messageOf(error)}`)
  }
}
