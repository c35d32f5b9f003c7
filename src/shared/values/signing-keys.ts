import { createHmac, createSecretKey, timingSafeEqual, type KeyObject } from 'node:crypto'

/** Signing keys of a deployment; they can be rotated while it runs. */
export interface SigningKeys {
  /** Key for new signatures. */
  maker(): Buffer
  /** Keys whose signatures are valid. */
  accepted(): readonly Buffer[]
  /**
   * Reloads the keys before a signature is rejected, in case a newer key made it. Skipped when the keys were reloaded a
   * moment ago, unless `now`. Throws when the keys cannot be read.
   */
  refresh(options?: { now: true }): Promise<void>
}

/** Wraps a key that is never rotated. */
export const oneKey = (key: Buffer): SigningKeys => ({
  maker: () => key,
  accepted: () => [key],
  refresh: () => Promise.resolve(),
})

/** Making the object of a key costs several times as much as the HMAC of a short text. */
const objects = new WeakMap<Buffer, KeyObject>()

function objectOf(key: Buffer): KeyObject {
  const known = objects.get(key)
  if (known) return known
  const made = createSecretKey(key)
  objects.set(key, made)
  return made
}

const signatureOf = (key: Buffer, text: string, bytes: number): string =>
  createHmac('sha256', objectOf(key)).update(text).digest().subarray(0, bytes).toString('base64url')

/** First `bytes` of the HMAC-SHA256 of a text, base64url. */
export const sign = (keys: SigningKeys, text: string, bytes: number): string => signatureOf(keys.maker(), text, bytes)

/** Whether one of the valid keys made this signature, also a newer key than are known. Throws when the keys cannot be read. */
export async function isSignedNow(keys: SigningKeys, text: string, bytes: number, signature: string): Promise<boolean> {
  if (isSigned(keys, text, bytes, signature)) return true
  await keys.refresh()
  return isSigned(keys, text, bytes, signature)
}

/** Whether one of the valid keys made this signature. */
export function isSigned(keys: SigningKeys, text: string, bytes: number, signature: string): boolean {
  const given = Buffer.from(signature)
  let valid = false
  for (const key of keys.accepted()) {
    const expected = Buffer.from(signatureOf(key, text, bytes))
    if (given.length === expected.length && timingSafeEqual(given, expected)) valid = true
  }
  return valid
}
