import { createContext, Script } from 'node:vm'

/** How long one match may take, ms: what is honest takes microseconds. */
const MATCH_MS = 20

const script = new Script('pattern.test(text)')

/**
 * A regular expression of a stranger's. One that is made to take for ever is stopped and from then on matches
 * everything: upstream judges the input in the end, and it holds up one request once.
 */
export function timedPattern(source: string, flags: string): { test(text: string): boolean } {
  const sandbox: { pattern: RegExp; text: string } = { pattern: new RegExp(source, flags), text: '' }
  const context = createContext(sandbox)
  let tooSlow = false
  return {
    test(text) {
      if (tooSlow) return true
      sandbox.text = text
      try {
        return script.runInContext(context, { timeout: MATCH_MS }) === true
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT')) throw error
        tooSlow = true
        return true
      } finally {
        sandbox.text = ''
      }
    },
  }
}
