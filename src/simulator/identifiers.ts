import { createHmac, randomBytes } from 'node:crypto'

const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz'
const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

export const PREDICTION_ID = /^[0-9a-hjkmnp-tv-z]{26}$/

/** 26 characters of Crockford's base 32 in lower case, as Replicate has used since 2024. Random: never given twice, not even after a reset. */
export function newPredictionId(): string {
  return Array.from(randomBytes(26), (byte) => CROCKFORD[byte & 31]).join('')
}

export function newWebhookSecret(): string {
  return `whsec_${randomBytes(24).toString('base64')}`
}

/** The id of one message: the same for every delivery of it, also by a restarted process. */
export function messageId(key: string, prediction: string, event: string, sequence: number): string {
  return `msg_${base62(digest(key, `${prediction} ${event} ${sequence}`), 27)}`
}

/** The part of an output's address that nobody can guess. It ends in the prediction's id and begins with its proof. */
export function fileToken(key: string, prediction: string): string {
  return `${base62(digest(key, `file ${prediction}`), 16)}${prediction}`
}

/** The prediction that a file token belongs to, or null when the token was not made by this simulator. */
export function predictionOfToken(key: string, token: string): string | null {
  const prediction = token.slice(16)
  return PREDICTION_ID.test(prediction) && fileToken(key, prediction) === token ? prediction : null
}

const digest = (key: string, text: string) => createHmac('sha256', key).update(text).digest()

const base62 = (bytes: Buffer, length: number) =>
  Array.from(bytes.subarray(0, length), (byte) => BASE62[byte % 62]).join('')
