import { createHmac, randomBytes } from 'node:crypto'

const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz'
const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

const PREDICTION_ID = /^[0-9a-hjkmnp-tv-z]{26}$/

/**
 * 26 characters of Crockford's base 32 in lower case, as Replicate has used since 2024. Random: never repeated, even
 * after a reset.
 */
export const newId = (): string => idOf(randomBytes(26))

/** The id that 26 or more bytes spell. */
export const idOf = (bytes: Buffer): string =>
  Array.from(bytes.subarray(0, 26), (byte) => CROCKFORD[byte & 31]).join('')

export function newWebhookSecret(): string {
  return `whsec_${randomBytes(24).toString('base64')}`
}

/** The id of one message: the same for every delivery, even after a restart. */
export function messageId(key: string, prediction: string, event: string, sequence: number): string {
  return `msg_${base62(digest(key, `${prediction} ${event} ${sequence}`), 27)}`
}

/** What a URL without credentials refers to: output files, or the stream of a run. */
export type AddressUse = 'file' | 'stream'

/** The unguessable part of a URL: a signature followed by the prediction's id. */
export function addressToken(key: string, use: AddressUse, prediction: string): string {
  return `${base62(digest(key, `${use} ${prediction}`), 16)}${prediction}`
}

/** The prediction of a URL token, or null when this simulator did not sign it. */
export function predictionOfToken(key: string, use: AddressUse, token: string): string | null {
  const prediction = token.slice(16)
  return PREDICTION_ID.test(prediction) && addressToken(key, use, prediction) === token ? prediction : null
}

/** The Files API signing secret. It never changes within a data folder. */
export function uploadSecret(key: string): string {
  return digest(key, 'uploads').toString('base64')
}

/** Signature of a files API download URL: base 64 of an HMAC-SHA256 over owner, id and expiry. */
export function uploadSignature(secret: string, owner: string, id: string, expiry: string): string {
  return digest(secret, `${owner} ${id} ${expiry}`).toString('base64')
}

const digest = (key: string, text: string) => createHmac('sha256', key).update(text).digest()

const base62 = (bytes: Buffer, length: number) =>
  Array.from(bytes.subarray(0, length), (byte) => BASE62[byte % 62]).join('')
