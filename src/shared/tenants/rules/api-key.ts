import { hash, randomInt } from 'node:crypto'
import { crc32 } from 'node:zlib'

/**
 * Format of an API key: `gq_<id>_<secret><checksum>`, 65 characters of A-Z a-z 0-9 _. The id (12 characters) names the
 * record. The secret has 43 random characters of an alphabet of 62 (256 bits). The checksum is the CRC-32 of everything
 * before it, in six characters: a mistyped or truncated key is refused without reading Redis, and a secret scanner can
 * confirm a match.
 */

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const ID_LENGTH = 12
const SECRET_LENGTH = 43
const CHECK_LENGTH = 6

export const KEY = new RegExp(
  `^(gq_([0-9A-Za-z]{${ID_LENGTH}})_[0-9A-Za-z]{${SECRET_LENGTH}})([0-9A-Za-z]{${CHECK_LENGTH}})$`,
)

export const KEY_ID = new RegExp(`^[0-9A-Za-z]{${ID_LENGTH}}$`)

const randomText = (length: number): string =>
  Array.from({ length }, () => ALPHABET.charAt(randomInt(ALPHABET.length))).join('')

function checksum(text: string): string {
  let rest = crc32(text)
  let digits = ''
  for (let i = 0; i < CHECK_LENGTH; i++) {
    digits = ALPHABET.charAt(rest % ALPHABET.length) + digits
    rest = Math.floor(rest / ALPHABET.length)
  }
  return digits
}

/** The id of the key that a tenant's request with an idempotency key creates: the same request names the same key. */
export function keyIdFor(tenant: string, idempotencyKey: string): string {
  let rest = BigInt(`0x${hash('sha256', `${tenant} ${idempotencyKey}`, 'hex')}`)
  let id = ''
  for (let i = 0; i < ID_LENGTH; i++) {
    id += ALPHABET.charAt(Number(rest % BigInt(ALPHABET.length)))
    rest /= BigInt(ALPHABET.length)
  }
  return id
}

/** Makes a key: its id, and the text that is shown once. */
export function makeKey(id = randomText(ID_LENGTH)): { id: string; key: string } {
  const body = `gq_${id}_${randomText(SECRET_LENGTH)}`
  return { id, key: body + checksum(body) }
}

/** The id of a key; null unless the text is a complete, unaltered key. */
export function keyIdOf(text: string): string | null {
  const [, body = '', id = '', check = ''] = KEY.exec(text) ?? []
  return body !== '' && checksum(body) === check ? id : null
}

/**
 * The stored form of a key: one SHA-256. Passwords need a slow hash because they can be guessed; a secret of 256 random bits
 * cannot, and a slow hash on every request would only make denial of service easier.
 */
export const keyDigest = (key: string): string => hash('sha256', key, 'hex')
