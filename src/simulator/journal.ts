import { appendFileSync, closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { cannot } from './cannot.ts'

/**
 * A file of JSON lines. `append` returns after the write to the operating system, so a line survives kill -9 (not a
 * power failure: there is no fsync).
 */
export interface Journal {
  append(entry: object): void
  /** Compaction: replaces all lines with an equivalent, shorter list. */
  rewrite(entries: Iterable<object>): void
  /** Whether the file has grown enough to be rewritten. */
  isLong(): boolean
  close(): void
}

const LONG_BYTES = 32 * 1024 * 1024
const CHUNK_LENGTH = 1024 * 1024

export function openJournal(folder: string): { journal: Journal; entries: unknown[] } {
  try {
    mkdirSync(folder, { recursive: true })
  } catch (cause) {
    throw cannot(`make the data folder ${folder}`, cause)
  }
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
      // Large inputs make a journal that cannot be compacted, so the next rewrite waits until it has doubled.
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

/** Discards every line: for an in-memory simulator. */
export const noJournal: Journal = {
  append: () => undefined,
  rewrite: () => undefined,
  isLong: () => false,
  close: () => undefined,
}

/** Skips a line that a killed process left incomplete. */
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
