/**
 * Streaming JSON extractor: copies only the wanted parts of a text, so that memory is bounded by the extract and not by the
 * length of the text. It skips other strings by searching for their closing quote, at a measured 1 GB/s. Streaming parsers
 * on npm (stream-json 3.8.0, @streamparser/json 0.0.26) build every token: 1 to 35 s for a page of 60 MB (docs/design.md).
 * JSON.parse validates the extract; skipped parts are only checked for quotes and brackets.
 */
export type Rule =
  /** The unchanged value when its JSON has at most `bytes`; else null, with its size in the sibling field `leftOut`. */
  | { kind: 'whole'; bytes: number; leftOut?: string }
  /**
   * A string, reduced to its first `head` and last `tail` bytes when it is longer than both together, with the size of the
   * rest in the field `leftOut`. Any other value: as `whole`.
   */
  | { kind: 'ends'; head: number; tail: number; leftOut?: string }
  /** The listed fields of an object; the others are skipped. */
  | { kind: 'object'; fields: ReadonlyMap<string, Rule> }
  | { kind: 'array'; items: Rule }
  /** The whole value, except that strings longer than `longer` bytes go to `LongStrings`. */
  | { kind: 'aside'; longer: number; bytes: number; values: number; leftOut: string }

/** Receives long strings: the bytes between their quotes, still escaped as JSON. */
export interface LongStrings {
  begin(): LongString
}
export interface LongString {
  write(raw: Buffer): void
  /** Returns the text that replaces the string in the extract. */
  end(): string
}

/** The long strings exceed the limit of `LongStrings`. */
export class LongStringsFullError extends Error {
  override name = 'LongStringsFullError'
}

export class JsonExtractError extends Error {
  override name = 'JsonExtractError'
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d

const isSpace = (byte: number): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09

/** Bytes kept of a value of an unexpected type: enough for the parser of the extract to report the error. */
const UNEXPECTED: Rule = { kind: 'whole', bytes: 4096 }
const MAX_KEY_BYTES = 1024
/** Strings up to this length are scanned in JavaScript; a native search costs more for them. */
const SHORT = 32

interface Frame {
  rule: Extract<Rule, { kind: 'object' | 'array' }>
  isEmpty: boolean
}
type Expected = 'value' | 'value or end' | 'key' | 'key or end' | 'colon' | 'comma or end' | 'nothing'

/** @param maxBytes limit of the extract; exceeding it throws. */
export function createJsonExtract(rule: Rule, maxBytes: number, longStrings?: LongStrings) {
  const out = growingBytes(maxBytes)
  const frames: Frame[] = []
  let expected: Expected = 'value'
  let next: Rule | null = rule
  let key: { raw: Buffer[]; bytes: number } | null = null
  let value: OpaqueValue | null = null
  let ended = false

  function beginValue(byte: number): void {
    const wanted = next
    if (wanted?.kind === 'object' && byte === OPEN_OBJECT) return open(wanted, '{')
    if (wanted?.kind === 'array' && byte === OPEN_ARRAY) return open(wanted, '[')
    const isContainer = wanted?.kind === 'object' || wanted?.kind === 'array'
    value = opaqueValue(byte, isContainer ? UNEXPECTED : wanted, out, longStrings)
  }

  function open(wanted: Frame['rule'], bracket: string): void {
    out.text(bracket)
    frames.push({ rule: wanted, isEmpty: true })
    expected = wanted.kind === 'object' ? 'key or end' : 'value or end'
    if (wanted.kind === 'array') next = wanted.items
  }

  function closeFrame(byte: number): boolean {
    const frame = frames.at(-1)
    if (byte !== (frame?.rule.kind === 'object' ? CLOSE_OBJECT : CLOSE_ARRAY)) return false
    frames.pop()
    out.text(byte === CLOSE_OBJECT ? '}' : ']')
    endValue()
    return true
  }

  function endValue(): void {
    expected = frames.length === 0 ? 'nothing' : 'comma or end'
    if (frames.length === 0) ended = true
  }

  /** Writes the comma between members that are kept. */
  function beginMember(frame: Frame, name: string | null): void {
    out.text(`${frame.isEmpty ? '' : ','}${name === null ? '' : `${JSON.stringify(name)}:`}`)
    frame.isEmpty = false
  }

  function endKey(): void {
    const frame = frames.at(-1)
    if (key === null || frame?.rule.kind !== 'object') throw new JsonExtractError('a key outside an object')
    const name = key.bytes > MAX_KEY_BYTES ? null : parseString(Buffer.concat(key.raw))
    const wanted = name === null ? undefined : frame.rule.fields.get(name)
    next = wanted ?? null
    if (wanted && name !== null) beginMember(frame, name)
    key = null
    expected = 'colon'
  }

  function structure(byte: number): void {
    const frame = frames.at(-1)
    switch (expected) {
      case 'value or end':
        if (byte === CLOSE_ARRAY && closeFrame(byte)) return
        if (frame) beginMember(frame, null)
        return beginValue(byte)
      case 'value':
        return beginValue(byte)
      case 'key or end':
        if (byte === CLOSE_OBJECT && closeFrame(byte)) return
        if (byte === QUOTE) key = { raw: [], bytes: 0 }
        break
      case 'key':
        if (byte === QUOTE) key = { raw: [], bytes: 0 }
        break
      case 'colon':
        if (byte !== COLON) break
        expected = 'value'
        return
      case 'comma or end':
        if (byte !== COMMA) {
          if (closeFrame(byte)) return
          break
        }
        if (frame?.rule.kind === 'array') {
          next = frame.rule.items
          beginMember(frame, null)
          expected = 'value'
        } else expected = 'key'
        return
      case 'nothing':
    }
    if (key === null) throw new JsonExtractError(`no JSON: ${expected} expected`)
  }

  const keyScan = stringScan()
  function readKey(chunk: Buffer, at: number, reading: { raw: Buffer[]; bytes: number }): number {
    const end = keyScan(chunk, at)
    const until = end === -1 ? chunk.length : end
    reading.bytes += until - at
    if (reading.bytes <= MAX_KEY_BYTES) reading.raw.push(Buffer.from(chunk.subarray(at, until)))
    if (end === -1) return chunk.length
    endKey()
    return end + 1
  }

  function readValue(chunk: Buffer, at: number, reading: OpaqueValue): number {
    const after = reading.read(chunk, at)
    if (after === -1) return chunk.length
    const left = reading.end()
    if (left !== null) out.text(`,${JSON.stringify(left.name)}:${left.bytes}`)
    value = null
    endValue()
    return after
  }

  return {
    write(chunk: Buffer): void {
      let at = 0
      while (at < chunk.length) {
        if (value !== null) at = readValue(chunk, at, value)
        else if (key !== null) at = readKey(chunk, at, key)
        else {
          const byte = chunk[at] ?? 0
          // The current byte is the first one of the value.
          if (isSpace(byte)) at++
          else {
            structure(byte)
            if (value === null) at++
          }
        }
      }
    },

    /** Returns the extract as JSON. Throws when the text was invalid or incomplete. */
    end(): string {
      if (value !== null) readValue(Buffer.from(' '), 0, value)
      if (!ended) throw new JsonExtractError('the JSON ends early')
      return out.toString()
    },
  }
}

interface OpaqueValue {
  /** End of the value in the chunk, or -1. */
  read(chunk: Buffer, at: number): number
  /** Size of the omitted part, for the field `leftOut`. */
  end(): { name: string; bytes: number } | null
}

/** A value that is copied or skipped as one piece. */
function opaqueValue(
  first: number,
  rule: Rule | null,
  out: GrowingBytes,
  longStrings: LongStrings | undefined,
): OpaqueValue {
  const keeper = keeperFor(rule, first, out, longStrings)
  const scan = stringScan()
  let depth = 0
  let inString = false

  /** Finds the end of a number or literal: the first byte that cannot be a part of it. */
  const isPlain = first !== QUOTE && first !== OPEN_OBJECT && first !== OPEN_ARRAY
  if (isPlain && !/[-0-9a-z]/.test(String.fromCharCode(first))) throw new JsonExtractError('no JSON: value expected')
  function readPlain(chunk: Buffer, from: number): number {
    let at = from
    for (; at < chunk.length; at++) {
      const byte = chunk[at] ?? 0
      if (byte === COMMA || byte === CLOSE_ARRAY || byte === CLOSE_OBJECT || isSpace(byte)) {
        keeper.structure(chunk, from, at)
        return at
      }
    }
    keeper.structure(chunk, from, chunk.length)
    return -1
  }

  /** Consumes the rest of a string and its quote. */
  function readString(chunk: Buffer, from: number): number {
    const end = scan(chunk, from)
    keeper.string(chunk, from, end === -1 ? chunk.length : end)
    if (end === -1) return -1
    inString = false
    keeper.endString()
    return end + 1
  }

  /** Consumes brackets up to the next string, or to the end of the value. */
  function readStructure(chunk: Buffer, from: number): number {
    let at = from
    let values = 0
    for (; at < chunk.length; at++) {
      const byte = chunk[at]
      if (byte === QUOTE) {
        inString = true
        break
      }
      if (byte === COMMA) values++
      else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
        depth++
        values++
      } else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
        depth--
        if (depth <= 0) break
      }
    }
    const hasEnded = !inString && at < chunk.length
    keeper.count(values)
    keeper.structure(chunk, from, hasEnded ? at + 1 : at)
    if (inString) keeper.beginString()
    return inString || hasEnded ? at + 1 : chunk.length
  }

  /** Skips a value without a call for each of its parts. */
  function skip(chunk: Buffer, from: number): number {
    let at = from
    while (at < chunk.length) {
      if (inString) {
        const end = scan(chunk, at)
        if (end === -1) break
        inString = false
        at = end + 1
      }
      for (; at < chunk.length && depth > 0; at++) {
        const byte = chunk[at]
        if (byte === QUOTE) {
          inString = true
          at++
          break
        }
        if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) depth++
        else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) depth--
      }
      if (inString || depth > 0) continue
      keeper.passed(at - from)
      return at
    }
    keeper.passed(chunk.length - from)
    return -1
  }

  return {
    read(chunk, from) {
      if (isPlain) return readPlain(chunk, from)
      let at = from
      while (at < chunk.length) {
        if (keeper.passes() && (depth > 0 || inString)) return skip(chunk, at)
        if (inString) {
          const after = readString(chunk, at)
          if (after === -1) return -1
          at = after
        } else at = readStructure(chunk, at)
        if (depth === 0 && !inString) return at
      }
      return -1
    },
    end: () => keeper.end(),
  }
}

/** Receives the parts of one value. */
interface Keeper {
  /** Takes bytes outside of strings. */
  structure(chunk: Buffer, from: number, to: number): void
  beginString(): void
  string(chunk: Buffer, from: number, to: number): void
  endString(): void
  count(values: number): void
  /** Whether everything that follows is skipped. */
  passes(): boolean
  /** Counts bytes that were skipped without having been passed in. */
  passed(bytes: number): void
  end(): { name: string; bytes: number } | null
}

const nothing = (): void => undefined
const DROP: Keeper = {
  structure: nothing,
  beginString: nothing,
  string: nothing,
  endString: nothing,
  count: nothing,
  passes: () => true,
  passed: nothing,
  end: () => null,
}

function keeperFor(rule: Rule | null, first: number, out: GrowingBytes, longStrings: LongStrings | undefined): Keeper {
  if (rule === null) return DROP
  if (rule.kind === 'ends') {
    if (first === QUOTE) return keepEnds(out, rule)
    return keepWhole(out, { bytes: rule.head + rule.tail, values: Infinity, leftOut: null })
  }
  if (rule.kind === 'whole') return keepWhole(out, { ...rule, values: Infinity, leftOut: rule.leftOut ?? null })
  if (rule.kind !== 'aside') return keepWhole(out, { bytes: 4096, values: Infinity, leftOut: null })
  return keepWhole(out, rule, longStrings && { longer: rule.longer, longStrings })
}

function keepWhole(
  out: GrowingBytes,
  limits: { bytes: number; values: number; leftOut: string | null },
  aside?: { longer: number; longStrings: LongStrings },
): Keeper {
  const begin = out.length()
  let bytes = 0
  let values = 0
  let isLeftOut = false
  let stringBegin = 0
  let long: LongString | null = null

  function add(chunk: Buffer, from: number, to: number): void {
    if (isLeftOut) return
    if (out.length() - begin + to - from > limits.bytes || values > limits.values) {
      isLeftOut = true
      out.cut(begin)
      out.text('null')
    } else out.add(chunk, from, to)
  }

  return {
    structure(chunk, from, to) {
      bytes += to - from
      add(chunk, from, to)
    },
    count(more) {
      values += more
    },
    passes: () => isLeftOut && long === null,
    passed(more) {
      bytes += more
    },
    beginString() {
      bytes++
      stringBegin = out.length()
      add(QUOTE_MARK, 0, 1)
    },
    string(chunk, from, to) {
      bytes += to - from
      if (long) return long.write(chunk.subarray(from, to))
      const length = out.length() - stringBegin - 1 + to - from
      if (isLeftOut || !aside || length <= aside.longer) return add(chunk, from, to)
      long = aside.longStrings.begin()
      long.write(out.from(stringBegin + 1))
      long.write(chunk.subarray(from, to))
      out.cut(stringBegin + 1)
    },
    endString() {
      bytes++
      if (long) {
        const marker = Buffer.from(long.end())
        add(marker, 0, marker.length)
      }
      long = null
      add(QUOTE_MARK, 0, 1)
    },
    end: () => (isLeftOut && limits.leftOut !== null ? { name: limits.leftOut, bytes } : null),
  }
}

const QUOTE_MARK = Buffer.from('"')
const ELLIPSIS = '\\n\u2026\\n'

function keepEnds(out: GrowingBytes, { head, tail, leftOut }: Extract<Rule, { kind: 'ends' }>): Keeper {
  const begin = out.length()
  let headBytes = 0
  let rest = 0
  let last = Buffer.alloc(0)
  return {
    structure: nothing,
    count: nothing,
    passes: () => false,
    passed: nothing,
    beginString: () => out.add(QUOTE_MARK, 0, 1),
    string(chunk, from, to) {
      const raw = chunk.subarray(from, to)
      const first = raw.subarray(0, head - headBytes)
      out.add(first, 0, first.length)
      headBytes += first.length
      const after = raw.subarray(first.length)
      if (after.length === 0) return
      rest += after.length
      // The buffer grows to twice the tail's length, so that it is rarely moved.
      if (last.length + after.length <= 2 * tail) last = Buffer.concat([last, after])
      else last = Buffer.concat([last, after.subarray(-tail)]).subarray(-tail)
    },
    endString() {
      if (rest <= tail) out.add(last, 0, last.length)
      else {
        out.cut(begin + 1 + safeEnd(out.from(begin + 1)))
        out.text(ELLIPSIS)
        const end = last.subarray(-tail)
        out.add(end, safeBegin(end), end.length)
      }
      out.add(QUOTE_MARK, 0, 1)
    },
    end: () => (rest > tail && leftOut !== undefined ? { name: leftOut, bytes: rest - tail } : null),
  }
}

/** Longest prefix of a JSON string's content that ends neither within an escape nor within a character. */
function safeEnd(raw: Buffer): number {
  let at = 0
  for (;;) {
    const length = unitLength(raw, at)
    if (length === 0 || at + length > raw.length) return at
    at += length
  }
}

/** Length of the escape or character at a position, in bytes; 0 at the end. */
export function unitLength(raw: Buffer, at: number): number {
  const byte = raw[at]
  if (byte === undefined) return 0
  if (byte === BACKSLASH) return raw[at + 1] === 0x75 ? 6 : 2
  return byte < 0xc0 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4
}

/** Bytes that can belong to an escape; a byte after them may not begin a unit. */
const IN_ESCAPES = new Set(Buffer.from('"\\/bfnrtu0123456789abcdefABCDEF'))

/** First position at which a truncated JSON string's content can start: after a byte that belongs to no escape. */
function safeBegin(raw: Buffer): number {
  for (let at = 0; at < raw.length; at++) {
    const byte = raw[at] ?? 0
    if (byte >= 0xc0) return at
    if (byte < 0x80 && !IN_ESCAPES.has(byte)) return at + 1
  }
  return raw.length
}

/** Decodes the content between the quotes of a JSON string. */
export function parseString(raw: Buffer): string {
  const value: unknown = JSON.parse(`"${raw.toString('utf8')}"`)
  return typeof value === 'string' ? value : ''
}

/** Finds the closing quote of a string that can span several chunks; -1: not in this one. */
function stringScan(): (chunk: Buffer, at: number) => number {
  let isEscaped = false
  return (chunk, begin) => {
    let at = begin
    if (isEscaped) {
      at++
      isEscaped = false
    }
    const near = Math.min(chunk.length, at + SHORT)
    for (; at < near; at++) {
      const byte = chunk[at]
      if (byte === QUOTE) return at
      if (byte === BACKSLASH) at++
    }
    // The last backslash of the chunk escapes the first byte of the next.
    if (at > chunk.length) {
      isEscaped = true
      return -1
    }
    for (;;) {
      const quote = chunk.indexOf(QUOTE, at)
      const end = quote === -1 ? chunk.length : quote
      let slashes = 0
      while (end - 1 - slashes >= at && chunk[end - 1 - slashes] === BACKSLASH) slashes++
      const isOdd = slashes % 2 === 1
      if (quote === -1) {
        isEscaped = isOdd
        return -1
      }
      if (!isOdd) return quote
      at = quote + 1
    }
  }
}

/** Byte buffer that can be appended to and truncated. */
interface GrowingBytes {
  length(): number
  add(chunk: Buffer, from: number, to: number): void
  text(text: string): void
  /** Copy of the bytes from a position on. */
  from(at: number): Buffer
  cut(length: number): void
  toString(): string
}

function growingBytes(maxBytes: number): GrowingBytes {
  let bytes = Buffer.allocUnsafe(4096)
  let length = 0
  const add = (chunk: Buffer, from: number, to: number): void => {
    const sum = length + to - from
    if (sum > maxBytes) throw new JsonExtractError(`more than ${maxBytes} bytes would have to be kept`)
    if (sum > bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(2 * bytes.length, sum))
      bytes.copy(larger, 0, 0, length)
      bytes = larger
    }
    chunk.copy(bytes, length, from, to)
    length = sum
  }
  return {
    length: () => length,
    add,
    text(text) {
      const encoded = Buffer.from(text)
      add(encoded, 0, encoded.length)
    },
    from: (at) => Buffer.from(bytes.subarray(at, length)),
    cut: (to) => void (length = to),
    toString: () => bytes.toString('utf8', 0, length),
  }
}
