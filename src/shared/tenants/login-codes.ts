import { randomBytes } from 'node:crypto'

/** Codes of sign-in links: 128 random bits, 32 hexadecimal digits, each valid for one session of the development key. */
export interface LoginCodes {
  /** Returns a new code, valid for `LOGIN_CODE_S`. */
  make(): Promise<string>
  /** Returns whether the code is valid, and uses it up. */
  redeem(code: string): Promise<boolean>
}

/** Lifetime of a code from `genqueue login`, s */
export const LOGIN_CODE_S = 600

export const newLoginCode = (): string => randomBytes(16).toString('hex')

/** Sign-in link with the code in the fragment: browsers send a fragment to no server, so it appears in no log. */
export const loginLink = (origin: string, code: string): string => `${origin.replace(/\/+$/, '')}/#code=${code}`
