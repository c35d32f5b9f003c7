import { fileTypeFromBuffer } from 'file-type'

/** Bytes of a file that are enough to detect its type. */
export const HEAD_BYTES = 4100

/** Types without a signature: only these are accepted as declared. */
const WITHOUT_SIGNATURE = /^(?:text\/[a-z0-9.+-]+|application\/(?:json|yaml|x-ndjson)|image\/svg\+xml)$/

const UNKNOWN = 'application/octet-stream'

/** Media type of a file by its first bytes; the declared one only for types without a signature. Without parameters. */
export async function mediaTypeOf(head: Uint8Array, said: string | null): Promise<string> {
  const found = (await fileTypeFromBuffer(head))?.mime
  if (found !== undefined) return bare(found)
  const type = said === null ? UNKNOWN : bare(said)
  return WITHOUT_SIGNATURE.test(type) ? type : UNKNOWN
}

const bare = (type: string): string => type.split(';')[0]?.trim().toLowerCase() ?? UNKNOWN

// One entry of a list of allowed types: image/png, image/* or */*.
export const TYPE_PATTERN = /^(?:\*\/\*|[a-z0-9.+-]+\/(?:\*|[a-z0-9.+-]+))$/

/** Error text for a file whose bytes have a type that is not allowed. `said`: the declared type. */
export function refusedType(type: string, said: string | null, allowed: readonly string[]): string {
  const declared = said === null ? null : bare(said)
  const found = type === UNKNOWN ? 'have no known signature' : `are ${type}`
  const what =
    declared === null || declared === type
      ? `Files of the type ${type} are not accepted.`
      : `The file is declared as ${declared}, but its bytes ${found}.`
  return `${what} Accepted types (UPLOAD_TYPES): ${allowed.join(', ')}.`
}

export function isAllowedType(type: string, allowed: readonly string[]): boolean {
  const kind = type.split('/')[0] ?? ''
  return allowed.some((one) => one === '*/*' || one === type || one === `${kind}/*`)
}
