import { createHmac, randomBytes } from 'node:crypto'

const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz'
const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

const PREDICTION_ID = /^[0-9a-hjkmnp-tv-z]{26}$/

/** 26 characters of Crockford's base 32 in lower case, as Replicate has used since 2024. Random: never given twice, not even after a reset. */
export function newId(): string {
  return Array.from(randomBytes(26), (byte) => CROCKFORD[byte & 31]).join('')
}

export function newWebhookSecret(): string {
  return `whsec_${randomBytes(24).toString('base64')}`
}

/** The id of one message: the same for every delivery of it, also by a restarted process. */
export function messageId(key: string, prediction: string, event: string, sequence: number): string {
  return `msg_${base62(digest(key, `${prediction} ${event} ${sequence}`), 27)}`
}

/** What an address that needs no token leads to: output files, or the stream of a run. */
export type AddressUse = 'file' | 'stream'

/** The part of an address that nobody can guess. It ends in the prediction's id and begins with its proof. */
export function addressToken(key: string, use: AddressUse, prediction: string): string {
  return `${base62(digest(key, `${use} ${prediction}`), 16)}${prediction}`
}

/** The prediction that an address belongs to, or null when its token was not made by this simulator. */
export function predictionOfToken(key: string, use: AddressUse, token: string): string | null {
  const prediction = token.slice(16)
  return PREDICTION_ID.test(prediction) && addressToken(key, use, prediction) === token ? prediction : null
}

/** The Files API signing secret: the same as long as the data folder lives. */
export function uploadSecret(key: string): string {
  return digest(key, 'uploads').toString('base64')
}

/** What proves a download address of the files API: base 64 of an HMAC-SHA256 over owner, id and expiry. */
export function uploadSignature(secret: string, owner: string, id: string, expiry: string): string {
  return digest(secret, `${owner} ${id} ${expiry}`).toString('base64')
}

const digest = (key: string, text: string) => createHmac('sha256', key).update(text).digest()

const base62 = (bytes: Buffer, length: number) =>
  Array.from(bytes.subarray(0, length), (byte) => BASE62[byte % 62]).join('')
