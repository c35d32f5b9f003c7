/** Data URIs (RFC 2397) that represent files: those with a media type, or in base64. Anything else is text. */

export type ReadDataUri =
  | {
      kind: 'file'
      /** Lower case, without parameters; null when there is none. */ mediaType: string | null
      bytes: Buffer
    }
  | { kind: 'wrong' }
  | { kind: 'too_large' }

/** Limit of the head (type and parameters); a text with a longer one is no data URI. */
const MAX_HEAD = 400
const SCHEME = /^data:/i
const HEAD = /^data:([a-z0-9][a-z0-9.+-]{0,100}\/[a-z0-9][a-z0-9.+-]{0,100})?((?:;[^;,"\s]{1,100}){0,3}),/i

function headOf(text: string): { mediaType: string | null; isBase64: boolean; length: number } | null {
  const [head, mediaType = '', parameters = ''] = HEAD.exec(text.slice(0, MAX_HEAD)) ?? []
  if (head === undefined) return null
  const isBase64 = /;base64$/i.test(parameters)
  if (mediaType === '' && !isBase64) return null
  return { mediaType: mediaType === '' ? null : mediaType.toLowerCase(), isBase64, length: head.length }
}

/** Most texts of inputs are none, so the scheme is compared first. */
export const isDataUri = (text: string): boolean => SCHEME.test(text) && headOf(text) !== null

/**
 * Decodes a text for which `isDataUri` is true: strict base64 (RFC 4648 section 4, padded, no blanks), or percent encoding.
 * `wrong` when it is neither. Takes linear time and memory.
 */
export function readDataUri(text: string, maxBytes: number): ReadDataUri {
  const head = headOf(text)
  if (head === null) return { kind: 'wrong' }
  const data = text.slice(head.length)
  if ((head.isBase64 ? Math.floor(data.length * 0.75) - 2 : data.length / 3) > maxBytes) return { kind: 'too_large' }
  const bytes = head.isBase64 ? fromBase64(data) : fromPercents(data)
  if (bytes === null) return { kind: 'wrong' }
  return bytes.length > maxBytes ? { kind: 'too_large' } : { kind: 'file', mediaType: head.mediaType, bytes }
}

function fromBase64(data: string): Buffer | null {
  // Searches for an invalid character, because matching the whole text would store a state for each character.
  const end = data.search(/[^A-Za-z0-9+/]/)
  const padding = end === -1 ? '' : data.slice(end, end + 3)
  const isWhole = data.length % 4 === 0 && (padding === '' || padding === '=' || padding === '==')
  return isWhole && end + padding.length === (end === -1 ? -1 : data.length) ? Buffer.from(data, 'base64') : null
}

const PERCENT = 0x25

function fromPercents(data: string): Buffer | null {
  if (/%(?![0-9a-f]{2})/i.test(data)) return null
  const encoded = Buffer.from(data)
  const bytes = Buffer.allocUnsafe(encoded.length)
  let length = 0
  for (let at = 0; at < encoded.length; at++) {
    const byte = encoded[at] ?? 0
    if (byte === PERCENT) {
      bytes[length++] = Number.parseInt(encoded.toString('latin1', at + 1, at + 3), 16)
      at += 2
    } else bytes[length++] = byte
  }
  return bytes.subarray(0, length)
}

/** Data URI of a file as it is sent to Replicate; `dataUriLength` computes its length. */
export const toDataUri = (mediaType: string, bytes: Buffer): string =>
  `data:${mediaType};base64,${bytes.toString('base64')}`

export const dataUriLength = (mediaType: string, bytes: number): number =>
  `data:${mediaType};base64,`.length + 4 * Math.ceil(bytes / 3)

/** A short text in place of a file, the same for the same bytes and type. */
export const inlineName = (mediaType: string, sha256: string): string => `data:${mediaType};sha256,${sha256}`
