import { fileTypeFromBuffer, supportedMimeTypes } from 'file-type'
import { plainType, withoutParameters } from './rules/media-types.ts'

const UNKNOWN = 'application/octet-stream'

/** Whether the declared type is a more precise form of the detected one, which is a container or syntax such as XML. */
function isMorePrecise(declared: string, found: string): boolean {
  if (found === 'application/xml') return declared.endsWith('+xml') || declared === 'text/xml'
  return found === 'application/zip' && (declared.endsWith('+zip') || declared === 'application/x-npz')
}

/** Types that their first bytes would have revealed; text types are excluded because their signature is optional. */
const SIGNED: ReadonlySet<string> = new Set([...supportedMimeTypes].filter((type) => !/^text\/|\/xml$/.test(type)))

/** Media type of a file: by its first bytes where they decide, else the declared one. */
export async function outputTypeOf(head: Uint8Array, declared: string | null): Promise<string> {
  const found = (await fileTypeFromBuffer(head))?.mime
  const said = plainType(declared)
  if (found === undefined) return said === null || SIGNED.has(withoutParameters(said)) ? UNKNOWN : said
  return said !== null && isMorePrecise(withoutParameters(said), found) ? said : found
}
