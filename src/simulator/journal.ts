import { appendFileSync, closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'

/**
 * A file of JSON lines. A line is handed to the system before `append` returns, so it outlives a kill -9 of this process
 * (not a power cut: nothing is synced to the disk).
 */
export interface Journal {
  append(entry: object): void
  /** Replaces all lines: what `append` would have led to, said shorter. */
  rewrite(entries: Iterable<object>): void
  /** True when the file has grown so much that it should be rewritten. */
  isLong(): boolean
  close(): void
}

const LONG_BYTES = 32 * 1024 * 1024
const CHUNK_LENGTH = 1024 * 1024

export function openJournal(folder: string): { journal: Journal; entries: unknown[] } {
  mkdirSync(folder, { recursive: true })
  const path = join(folder, 'journal.jsonl')
  const entries = existsSync(path) ? readEntries(path) : []
  let file = openSync(path, 'a')
  let grown = 0
  let longBytes = LONG_BYTES
  let isOpen = true
  const journal: Journal = {
    append(entry) {
      if (!isOpen) return
      const line = `${JSON.stringify(entry)}\n`
      appendFileSync(file, line)
      grown += line.length
    },
    rewrite(lines) {
      if (!isOpen) return
      const next = `${path}.next`
      writeLines(next, lines)
      closeSync(file)
      renameSync(next, path)
      file = openSync(path, 'a')
      grown = 0
      // Large inputs make a journal long that cannot be said shorter: it is rewritten when it has doubled.
      longBytes = Math.max(LONG_BYTES, statSync(path).size)
    },
    isLong: () => grown > longBytes,
    close() {
      if (isOpen) closeSync(file)
      isOpen = false
    },
  }
  return { journal, entries }
}

/** Forgets everything at once: for a simulator that lives in memory only. */
export const noJournal: Journal = {
  append: () => undefined,
  rewrite: () => undefined,
  isLong: () => false,
  close: () => undefined,
}

/** A line that was cut short by the end of a process is left out. */
function readEntries(path: string): unknown[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .flatMap((line) => {
      try {
        return line === '' ? [] : [JSON.parse(line) as unknown]
      } catch {
        return []
      }
    })
}

function writeLines(path: string, lines: Iterable<object>): void {
  const file = openSync(path, 'w')
  let chunk = ''
  for (const line of lines) {
    chunk += `${JSON.stringify(line)}\n`
    if (chunk.length < CHUNK_LENGTH) continue
    appendFileSync(file, chunk)
    chunk = ''
  }
  appendFileSync(file, chunk)
  closeSync(file)
}
