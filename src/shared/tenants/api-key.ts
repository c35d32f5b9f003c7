import { hash, randomInt } from 'node:crypto'
import { crc32 } from 'node:zlib'

/**
 * What an API key looks like: `gq_<id>_<secret><checksum>`, 65 characters of A-Z a-z 0-9 _. The id (12 characters) names
 * the record, the secret has 43 random characters of 62 (256 bits), the checksum is the CRC-32 of all before it in six
 * characters: a key that was mistyped or cut is refused without a look at Redis, and whoever searches texts for leaked
 * secrets can be sure of a find.
 */

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const ID_LENGTH = 12
const SECRET_LENGTH = 43
const CHECK_LENGTH = 6

const KEY = new RegExp(`^(gq_([0-9A-Za-z]{${ID_LENGTH}})_[0-9A-Za-z]{${SECRET_LENGTH}})([0-9A-Za-z]{${CHECK_LENGTH}})$`)

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

/** A new key: its id, and the text that is shown once. */
export function makeKey(id = randomText(ID_LENGTH)): { id: string; key: string } {
  const body = `gq_${id}_${randomText(SECRET_LENGTH)}`
  return { id, key: body + checksum(body) }
}

/** The id of a key; null for what is not the text of a key, whole and unchanged. */
export function keyIdOf(text: string): string | null {
  const [, body = '', id = '', check = ''] = KEY.exec(text) ?? []
  return body !== '' && checksum(body) === check ? id : null
}

/**
 * What is kept of a key. One SHA-256, not one of the slow hashes that passwords need: those make each guess dear because
 * a password is one of few; of 2^256 secrets nobody can try a noticeable part, and a slow hash at each request would only
 * serve those who want to keep the service busy.
 */
export const keyDigest = (key: string): string => hash('sha256', key, 'hex')
