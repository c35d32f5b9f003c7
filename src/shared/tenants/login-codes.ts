import { randomBytes } from 'node:crypto'

/** Codes of sign-in links: 128 random bits, 32 hexadecimal digits, each good for one session of the development key. */
export interface LoginCodes {
  /** A new code, good for `LOGIN_CODE_S`. */
  make(): Promise<string>
  /** Whether the code is good; it is used up by this. */
  redeem(code: string): Promise<boolean>
}

/** s that a code from `genqueue login` may be used. */
export const LOGIN_CODE_S = 600

export const newLoginCode = (): string => randomBytes(16).toString('hex')

/** The link by which a page of the service takes a code. A fragment: browsers send it to no server and no log. */
export const loginLink = (origin: string, code: string): string => `${origin.replace(/\/+$/, '')}/#code=${code}`
