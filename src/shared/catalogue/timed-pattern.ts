import { isNativeError } from 'node:util/types'
import { createContext, Script } from 'node:vm'

/** Limit of one match, ms. An honest match takes microseconds; the rest is for a machine that stands still. */
const MATCH_MS = 200
/** Limit of all matches of one check, ms. */
const CHECK_MS = 400
const MAX_SLOW = 3

const script = new Script('pattern.test(text)')
/** One context serves all patterns: each costs about 300 kB. */
const sandbox: { pattern: RegExp; text: string } = { pattern: /^$/, text: '' }
let context: object | undefined

/** Time that the patterns of one check have left, ms. */
export interface PatternTime {
  left: number
}

export const patternTime = (): PatternTime => ({ left: CHECK_MS })

export interface TimedPattern {
  test(text: string): boolean
  /** Source and flags: ajv keeps the patterns of a schema by this text. */
  toString(): string
}

/**
 * A regular expression of a stranger's. A match that takes too long is stopped and counts as one, and so does every match
 * after the time of the check is used up: upstream judges the input in the end. After three slow matches the expression is
 * not run any more.
 */
export function timedPattern(
  source: string,
  flags: string,
  time: PatternTime = { left: Infinity },
  matchMs = MATCH_MS,
): TimedPattern {
  const pattern = new RegExp(source, flags)
  let slow = 0
  return {
    toString: () => String(pattern),
    test(text) {
      if (slow >= MAX_SLOW || time.left <= 0) return true
      context ??= createContext(sandbox)
      Object.assign(sandbox, { pattern, text })
      const begun = performance.now()
      try {
        return script.runInContext(context, { timeout: Math.max(1, Math.ceil(Math.min(matchMs, time.left))) }) === true
      } catch (error) {
        // It may be an Error of another context.
        if (!isNativeError(error) || !('code' in error) || error.code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error
        slow += 1
        return true
      } finally {
        sandbox.text = ''
        time.left -= performance.now() - begun
      }
    },
  }
}
