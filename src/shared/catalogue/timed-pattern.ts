import { isNativeError } from 'node:util/types'
import { createContext, Script } from 'node:vm'

/** How long one match may take, ms. What is honest takes microseconds; the rest is for a machine that stands still. */
const MATCH_MS = 200
const MAX_SLOW = 3

const script = new Script('pattern.test(text)')

/**
 * A regular expression of a stranger's. A match that takes too long is stopped and counts as one: upstream judges the
 * input in the end. After three of them the expression is not asked any more.
 */
export function timedPattern(source: string, flags: string, matchMs = MATCH_MS): { test(text: string): boolean } {
  const sandbox: { pattern: RegExp; text: string } = { pattern: new RegExp(source, flags), text: '' }
  const context = createContext(sandbox)
  let slow = 0
  return {
    test(text) {
      if (slow >= MAX_SLOW) return true
      sandbox.text = text
      try {
        return script.runInContext(context, { timeout: matchMs }) === true
      } catch (error) {
        // It may be an Error of another context.
        if (!isNativeError(error) || !('code' in error) || error.code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error
        slow += 1
        return true
      } finally {
        sandbox.text = ''
      }
    },
  }
}
