import { useRef, useState } from 'react'
import type { Json, JsonObject } from '../client/types.ts'
import { parseInput } from './schema-form/check-input.ts'

const DRAFTS = 'genqueue.draft:'

/** A form's content survives a reload and navigation within the tab. `key`: the recipe's. */
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
    // A draft that cannot be stored is not an error.
  }
}

/** Storage key of a draft that another run's input has replaced. */
const beforeOf = (key: string): string => `before:${key}`

/** Makes another run's input the draft. Keeps the replaced draft until it is restored or the run is submitted. */
export function replaceDraft(key: string, draft: JsonObject): void {
  const typed = readDraft(key)
  const isWorthIt = Object.keys(typed).length > 0 && JSON.stringify(typed) !== JSON.stringify(draft)
  keepDraft(beforeOf(key), isWorthIt ? typed : {})
  keepDraft(key, draft)
}

/** The replaced draft, or null. */
export function replacedDraft(key: string): JsonObject | null {
  const before = readDraft(beforeOf(key))
  return Object.keys(before).length > 0 ? before : null
}

export const forgetReplaced = (key: string): void => keepDraft(beforeOf(key), {})

/** Removes all drafts, so the next user does not see them. */
export function forgetDrafts(): void {
  try {
    for (const key of Object.keys(sessionStorage)) if (key.startsWith(DRAFTS)) sessionStorage.removeItem(key)
  } catch {
    // Without storage there are no drafts.
  }
}

interface Draft {
  draft: JsonObject
  /** `undefined` removes the field. Changes the current draft, so a completed upload overwrites nothing else. */
  set: (name: string, value: Json | undefined) => void
  replace: (draft: JsonObject) => void
}

/** The current content of a form, stored under the recipe's key. */
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
