import { pointerOf } from '../shared/values/json-pointer.ts'

/**
 * Places in a JSON text that JSON.parse does not report: those of a syntax error and of a duplicate key. Only for bodies
 * that are refused, because it reads a text a second time. The depth is limited by the scan of the body.
 */

const BLANKS = /[ \t\n\r]*/y
const PLAIN = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y

class SyntaxAt extends Error {
  readonly at: number
  constructor(at: number) {
    super()
    this.at = at
  }
}

/** Reads a JSON text; returns the pointers of keys that occur twice in one object. Throws a SyntaxAt. */
function readText(text: string): string[] {
  const duplicates: string[] = []
  const path: (string | number)[] = []
  let at = 0

  const skipBlanks = (): void => void match(BLANKS)
  const take = (char: string): boolean => {
    skipBlanks()
    if (text[at] !== char) return false
    at++
    return true
  }
  const need = (char: string): void => {
    if (!take(char)) throw new SyntaxAt(at)
  }
  /** Reads what a pattern matches; returns whether there is any. */
  const match = (pattern: RegExp): boolean => {
    pattern.lastIndex = at
    const found = pattern.test(text)
    if (found) at = pattern.lastIndex
    return found
  }
  /** Reads a string by a plain loop, because an inline file has millions of characters; returns its source. */
  function quoted(): string {
    const from = at++
    for (;;) {
      const char = text[at]
      if (char === '\\') {
        if (!match(ESCAPE)) throw new SyntaxAt(at)
      } else if (char === undefined || char < ' ') throw new SyntaxAt(at)
      else {
        at++
        if (char === '"') return text.slice(from, at)
      }
    }
  }
  function members(): void {
    if (take('}')) return
    const keys = new Set<string>()
    do {
      skipBlanks()
      if (text[at] !== '"') throw new SyntaxAt(at)
      const key = String(JSON.parse(quoted()))
      path.push(key)
      if (keys.has(key)) duplicates.push(pointerOf(path))
      keys.add(key)
      need(':')
      value()
      path.pop()
    } while (take(','))
    need('}')
  }
  function items(): void {
    if (take(']')) return
    path.push(0)
    for (let index = 0; ; index++) {
      path[path.length - 1] = index
      value()
      if (!take(',')) break
    }
    path.pop()
    need(']')
  }
  function value(): void {
    if (take('{')) members()
    else if (take('[')) items()
    else if (text[at] === '"') quoted()
    else if (!match(PLAIN)) throw new SyntaxAt(at)
  }

  value()
  skipBlanks()
  if (at < text.length) throw new SyntaxAt(at)
  return duplicates
}

/** Line and column, from 1, of the first syntax error; null when there is none. */
export function syntaxErrorIn(text: string): { line: number; column: number } | null {
  try {
    readText(text)
    return null
  } catch (error) {
    if (!(error instanceof SyntaxAt)) throw error
    const before = text.slice(0, error.at)
    return { line: before.split('\n').length, column: error.at - before.lastIndexOf('\n') }
  }
}

/** Pointer of the first key that occurs twice in one object. */
export const duplicateKeyIn = (text: string): string | null => readText(text)[0] ?? null
