import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, rm, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { StringDecoder } from 'node:string_decoder'
import { createRemoveLeftovers } from './leftovers.ts'
import { LongStringsFullError, parseString, unitLength, type LongString } from '../values/json-extract.ts'
import type { OutputTaker } from '../replicate/prediction-port.ts'
import { makeFolder } from '../process/make-folder.ts'

/** Age at which a file counts as left behind by a killed process, ms: no output is processed this long. */
const LEFT_BEHIND_MS = 60 * 60_000
/** Bytes of a text's beginning that are kept in memory. */
const HEAD_BYTES = 1024

/**
 * Long strings of one output, each in a file, so that none is ever completely in memory. In the output a marker replaces
 * each of them: for a data URI a data URI of the same type, for any other text a word.
 */
export interface LongTexts extends OutputTaker {
  /** Decoded bytes of a marker's data URI; null when `text` is no such marker. Throws when it cannot be decoded. */
  file(marker: string): AsyncIterable<Buffer> | null
  /** Whether `text` contains a marker. */
  isIn(text: string): boolean
  /** Text with its markers replaced by the strings. `json`: the text is JSON, and so is the result. */
  fill(text: string, as: 'text' | 'json'): AsyncIterable<Buffer>
  /** Removes all files. */
  remove(): Promise<void>
}

export type OpenLongTexts = () => LongTexts

/** @param maxBytes limit of all long texts of one output together. */
export function createLongTexts(folder: string, maxBytes: number): OpenLongTexts {
  const removeLeftovers = createRemoveLeftovers(folder, LEFT_BEHIND_MS)
  async function prepare(): Promise<void> {
    await makeFolder(folder, 0o700)
    await removeLeftovers()
  }
  return () => longTexts(folder, maxBytes, prepare)
}

interface Entry {
  path: string
  pending: Buffer[]
  head: Buffer
}

function longTexts(folder: string, maxBytes: number, prepare: () => Promise<void>): LongTexts {
  const secret = randomBytes(16).toString('hex')
  const marker = new RegExp(`(?:data:[a-z0-9.+/-]+;long|long-text),${secret}-(\\d+)`, 'i')
  const entries: Entry[] = []
  let bytes = 0
  let file: { entry: Entry; handle: FileHandle } | null = null

  function begin(): LongString {
    const entry: Entry = {
      path: join(folder, `${randomBytes(8).toString('hex')}.text`),
      pending: [],
      head: Buffer.alloc(0),
    }
    const index = entries.push(entry) - 1
    const inside = unescaping()
    function keep(text: Buffer): void {
      bytes += text.length
      if (bytes > maxBytes) throw new LongStringsFullError(`the output has more than ${maxBytes} bytes`)
      if (entry.head.length < HEAD_BYTES)
        entry.head = Buffer.concat([entry.head, text.subarray(0, HEAD_BYTES - entry.head.length)])
      entry.pending.push(text)
    }
    return {
      write: (raw) => keep(inside.decode(raw)),
      end() {
        keep(inside.end())
        const type = /^data:([a-z0-9.+-]+\/[a-z0-9.+-]+)[;,]/i.exec(entry.head.toString('latin1'))?.[1]
        return `${type === undefined ? 'long-text' : `data:${type};long`},${secret}-${index}`
      },
    }
  }

  const entryOf = (text: string): Entry | undefined => {
    const index = marker.exec(text)?.[1]
    return index === undefined ? undefined : entries[Number(index)]
  }

  return {
    begin,

    async flush() {
      for (const entry of entries) {
        if (entry.pending.length === 0) continue
        if (file?.entry !== entry) {
          await file?.handle.close()
          file = null
          await prepare()
          file = { entry, handle: await open(entry.path, 'a', 0o600) }
        }
        for (const chunk of entry.pending.splice(0)) await file.handle.writeFile(chunk)
      }
    },

    file(text) {
      const entry = text.startsWith('data:') ? entryOf(text) : undefined
      return entry ? dataUriBytes(entry) : null
    },

    isIn: (text) => marker.test(text),

    async *fill(text, as) {
      const parts = text.split(new RegExp(marker, 'gi'))
      for (const [i, part] of parts.entries()) {
        if (i % 2 === 0) yield Buffer.from(part)
        else yield* contentOf(entries[Number(part)], as)
      }
    },

    async remove() {
      await file?.handle.close()
      file = null
      for (const { path } of entries) await rm(path, { force: true })
    },
  }
}

async function* contentOf(entry: Entry | undefined, as: 'text' | 'json'): AsyncGenerator<Buffer> {
  if (!entry) return
  const decoder = new StringDecoder('utf8')
  for await (const chunk of chunksOf(entry)) {
    if (as === 'text') yield chunk
    else yield Buffer.from(JSON.stringify(decoder.write(chunk)).slice(1, -1))
  }
}

async function* chunksOf({ path }: Entry, start = 0): AsyncGenerator<Buffer> {
  const stream: AsyncIterable<Buffer> = createReadStream(path, { start })
  yield* stream
}

/** Decodes a data URI: percent-encoded text, or base64 (RFC 2397). */
function dataUriBytes(entry: Entry): AsyncIterable<Buffer> {
  const comma = entry.head.indexOf(',')
  if (comma === -1) throw new Error('the head of the data URI has no end')
  const isBase64 = /;\s*base64\s*$/i.test(entry.head.toString('latin1', 0, comma))
  const plain = percentDecoded(chunksOf(entry, comma + 1))
  return isBase64 ? base64Decoded(plain) : plain
}

const PERCENT = 0x25

async function* percentDecoded(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let rest = Buffer.alloc(0)
  for await (const chunk of chunks) {
    if (rest.length === 0 && !chunk.includes(PERCENT)) {
      yield chunk
      continue
    }
    const all = Buffer.concat([rest, chunk])
    const last = all.lastIndexOf(PERCENT)
    const end = last > all.length - 3 && last !== -1 ? last : all.length
    rest = all.subarray(end)
    yield decodePercents(all.subarray(0, end))
  }
  yield rest
}

const decodePercents = (bytes: Buffer): Buffer =>
  Buffer.from(
    bytes
      .toString('latin1')
      .replace(/%([0-9a-f]{2})/gi, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  )

async function* base64Decoded(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let rest = ''
  for await (const chunk of chunks) {
    const text = rest + chunk.toString('latin1').replace(/[\s=]/g, '')
    const end = text.length - (text.length % 4)
    rest = text.slice(end)
    yield Buffer.from(text.slice(0, end), 'base64')
  }
  yield Buffer.from(rest, 'base64')
}

/** Decodes the content of a JSON string, chunk by chunk, to UTF-8. */
function unescaping(): { decode(raw: Buffer): Buffer; end(): Buffer } {
  let rest = Buffer.alloc(0)
  return {
    decode(raw) {
      if (rest.length === 0 && !raw.includes(0x5c)) return Buffer.from(raw)
      const all = Buffer.concat([rest, raw])
      const end = wholeEnd(all)
      rest = Buffer.from(all.subarray(end))
      return Buffer.from(parseString(all.subarray(0, end)))
    },
    end: () => Buffer.from(parseString(rest)),
  }
}

/** End of the last complete character; an escaped high surrogate waits for its low one. */
function wholeEnd(raw: Buffer): number {
  let at = 0
  let whole = 0
  for (;;) {
    const length = unitLength(raw, at)
    if (length === 0 || at + length > raw.length) return whole
    const isHigh = length === 6 && /^\\ud[89ab]/i.test(raw.toString('latin1', at, at + 4))
    at += length
    if (!isHigh) whole = at
  }
}
