import type { SendError } from '../transport-port.ts'

/** What the log shows of a response or of an error. */

/** Bytes of a text that are kept. */
const MOST_BYTES = 1024

/** The first kilobyte of a text, without characters that act on a terminal or cannot be shown. */
export function printable(text: string): string {
  const shown = text
    .slice(0, MOST_BYTES)
    .replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\u2028\u2029]+/gu, ' ')
    .trim()
  const bytes = Buffer.from(shown)
  if (bytes.length <= MOST_BYTES) return shown
  // Not in the middle of a character.
  return bytes
    .subarray(0, MOST_BYTES)
    .toString('utf8')
    .replace(/\uFFFD+$/, '')
}

const CODES: readonly (readonly [SendError, RegExp])[] = [
  ['dns', /^(?:ENOTFOUND|EAI_\w+|ENODATA|ESERVFAIL)$/],
  ['timeout', /^(?:ETIMEDOUT|UND_ERR_(?:CONNECT|HEADERS|BODY)_TIMEOUT)$/],
  ['refused', /^ECONNREFUSED$/],
  ['unreachable', /^(?:EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL)$/],
  ['reset', /^(?:ECONNRESET|EPIPE|ECONNABORTED|UND_ERR_SOCKET)$/],
  ['bad_response', /^(?:HPE_\w+|UND_ERR_HEADERS_OVERFLOW|UND_ERR_RES_\w+)$/],
  ['tls', /^(?:EPROTO|ERR_TLS_\w+|ERR_SSL_\w+|CERT_\w+|\w*CERT\w*|UNABLE_TO_\w+|HOSTNAME_MISMATCH)$/],
]

/** The stable code of an error of a connection, by the codes of Node and undici in it and in its causes. */
export function errorCodeOf(error: unknown): SendError {
  for (let one = error, depth = 0; one instanceof Error && depth < 5; one = one.cause, depth++) {
    const code = 'code' in one && typeof one.code === 'string' ? one.code : ''
    const found = CODES.find(([, pattern]) => pattern.test(code))
    if (found) return found[0]
    // It may have no code.
    if (one.name === 'HTTPParserError') return 'bad_response'
  }
  return 'failed'
}
