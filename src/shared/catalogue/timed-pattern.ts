import { isNativeError } from 'node:util/types'
import { createContext, Script } from 'node:vm'

/** Limit of one match, ms. A normal match takes microseconds; the rest allows for a stalled machine. */
const MATCH_MS = 200
/** A match that exceeds the limit runs again: a machine that stalled is not the pattern's fault. */
const TRIES = 2
/** Limit of all matches of one check, ms. */
const CHECK_MS = 600
const MAX_SLOW = 3

const script = new Script('pattern.test(text)')
/** One context serves all patterns: each costs about 300 kB. */
const sandbox: { pattern: RegExp; text: string } = { pattern: /^$/, text: '' }
let context: object | undefined

/** Remaining time for the patterns of one check, ms. */
export interface PatternTime {
  left: number
}

export const patternTime = (): PatternTime => ({ left: CHECK_MS })

export interface TimedPattern {
  test(text: string): boolean
  /** Source and flags: ajv caches the patterns of a schema by this text. */
  toString(): string
}

/**
 * Untrusted regular expression with a time limit. A match that exceeds it is stopped and counts as a match, and so does
 * every one after the check's total time is used up: upstream validates the input. After three slow matches the expression
 * is disabled.
 */
export function timedPattern(
  source: string,
  flags: string,
  time: PatternTime = { left: Infinity },
  matchMs = MATCH_MS,
): TimedPattern {
  const pattern = new RegExp(source, flags)
  let slow = 0

  /** null: the match took too long. */
  function match(text: string): boolean | null {
    context ??= createContext(sandbox)
    Object.assign(sandbox, { pattern, text })
    const begun = performance.now()
    try {
      return script.runInContext(context, { timeout: Math.max(1, Math.ceil(Math.min(matchMs, time.left))) }) === true
    } catch (error) {
      // The error can come from another realm, so `instanceof` does not apply.
      if (!isNativeError(error) || !('code' in error) || error.code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error
      return null
    } finally {
      sandbox.text = ''
      time.left -= performance.now() - begun
    }
  }

  return {
    toString: () => String(pattern),
    test(text) {
      if (slow >= MAX_SLOW) return true
      for (let tries = 0; tries < TRIES && time.left > 0; tries++) {
        const matches = match(text)
        if (matches !== null) return matches
      }
      if (time.left > 0) slow += 1
      return true
    },
  }
}
