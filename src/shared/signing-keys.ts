import { createHmac, timingSafeEqual } from 'node:crypto'

/** The keys by which a deployment knows what it has signed itself; they may be rotated while it runs. */
export interface SigningKeys {
  /** Makes signatures. */
  maker(): Buffer
  /** Signatures of any of these count. */
  accepted(): readonly Buffer[]
  /**
   * Before a signature that none of them made is judged to be wrong: makes sure that it is not of a newer key. Asks again,
   * unless it did so a moment ago; `now`: also then. Throws when nobody can tell.
   */
  refresh(options?: { now: true }): Promise<void>
}

/** A key that is never rotated. */
export const oneKey = (key: Buffer): SigningKeys => ({
  maker: () => key,
  accepted: () => [key],
  refresh: () => Promise.resolve(),
})

const signatureOf = (key: Buffer, text: string, bytes: number): string =>
  createHmac('sha256', key).update(text).digest().subarray(0, bytes).toString('base64url')

/** The first `bytes` of the HMAC-SHA256 of a text, base64url. */
export const sign = (keys: SigningKeys, text: string, bytes: number): string => signatureOf(keys.maker(), text, bytes)

/** Whether one of the keys made this signature. */
export function isSigned(keys: SigningKeys, text: string, bytes: number, signature: string): boolean {
  const given = Buffer.from(signature)
  let valid = false
  for (const key of keys.accepted()) {
    const expected = Buffer.from(signatureOf(key, text, bytes))
    if (given.length === expected.length && timingSafeEqual(given, expected)) valid = true
  }
  return valid
}
