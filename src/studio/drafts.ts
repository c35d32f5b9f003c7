import { useRef, useState } from 'react'
import type { Json, JsonObject } from '../client/types.ts'
import { parseInput } from './schema-form/check-input.ts'

const DRAFTS = 'genqueue.draft:'

/** What was typed survives a reload and a look at a run; it ends with the tab. `key`: the recipe's. */
function readDraft(key: string): JsonObject {
  try {
    const parsed = parseInput(sessionStorage.getItem(DRAFTS + key) ?? '')
    return 'input' in parsed ? parsed.input : {}
  } catch {
    return {}
  }
}

function keepDraft(key: string, draft: JsonObject): void {
  try {
    sessionStorage.setItem(DRAFTS + key, JSON.stringify(draft))
  } catch {
    // A draft that cannot be kept is not worth an error.
  }
}

/** Where a draft is kept that another run's input has replaced. */
const beforeOf = (key: string): string => `before:${key}`

/** Another run's input becomes the draft; what was typed before is kept until it is brought back or the run is sent. */
export function replaceDraft(key: string, draft: JsonObject): void {
  const typed = readDraft(key)
  const isWorthIt = Object.keys(typed).length > 0 && JSON.stringify(typed) !== JSON.stringify(draft)
  keepDraft(beforeOf(key), isWorthIt ? typed : {})
  keepDraft(key, draft)
}

/** The draft that was replaced; null when there is none. */
export function replacedDraft(key: string): JsonObject | null {
  const before = readDraft(beforeOf(key))
  return Object.keys(before).length > 0 ? before : null
}

export const forgetReplaced = (key: string): void => keepDraft(beforeOf(key), {})

/** What one person typed is not shown to the next. */
export function forgetDrafts(): void {
  try {
    for (const key of Object.keys(sessionStorage)) if (key.startsWith(DRAFTS)) sessionStorage.removeItem(key)
  } catch {
    // Without storage nothing was kept.
  }
}

interface Draft {
  draft: JsonObject
  /** `undefined` takes the field out. It changes the draft as it is then: a file that was sent overwrites nothing. */
  set: (name: string, value: Json | undefined) => void
  replace: (draft: JsonObject) => void
}

/** What a form says by now, kept under the recipe's key. */
export function useDraft(key: string): Draft {
  const [draft, setDraft] = useState<JsonObject>(() => readDraft(key))
  const latest = useRef(draft)
  const replace = (next: JsonObject): void => {
    latest.current = next
    setDraft(next)
    keepDraft(key, next)
  }
  const set = (name: string, value: Json | undefined): void => {
    const { [name]: _before, ...rest } = latest.current
    replace(value === undefined ? rest : { ...rest, [name]: value })
  }
  return { draft, set, replace }
}
