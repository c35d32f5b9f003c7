import { hash } from 'node:crypto'

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/** `length` characters, at most 32, of the alphabet of ULIDs that follow from a text: five bits of each byte of its SHA-256. */
export const crockfordOf = (text: string, length: number): string =>
  [...hash('sha256', text, 'buffer').subarray(0, length)].map((byte) => ALPHABET[byte & 31]).join('')
