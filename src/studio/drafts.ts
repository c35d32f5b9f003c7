import type { JsonObject } from '../client/types.ts'
import { parseInput } from './schema-form/check-input.ts'

const DRAFTS = 'genqueue.draft:'

/** What was typed survives a reload and a look at a run; it ends with the tab. `key`: the recipe's. */
export function readDraft(key: string): JsonObject {
  try {
    const parsed = parseInput(sessionStorage.getItem(DRAFTS + key) ?? '')
    return 'input' in parsed ? parsed.input : {}
  } catch {
    return {}
  }
}

export function keepDraft(key: string, draft: JsonObject): void {
  try {
    sessionStorage.setItem(DRAFTS + key, JSON.stringify(draft))
  } catch {
    // A draft that cannot be kept is not worth an error.
  }
}
