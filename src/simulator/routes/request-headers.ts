import type { IncomingHttpHeaders } from 'node:http'

const UNITS = { s: 1, m: 60, h: 3600 } as const
const MINIMUM_SECONDS = 5

/** `30`, `30s`, `5m`, `1h30m45s`: milliseconds; null without the header. */
export function parseCancelAfter(header: string | string[] | undefined): number | null | 'invalid' {
  if (header === undefined) return null
  if (typeof header !== 'string') return 'invalid'
  const value = header.trim()
  if (!/^(\d+|(\d+h)?(\d+m)?(\d+s)?)$/.test(value) || value === '') return 'invalid'
  const seconds = /^\d+$/.test(value)
    ? Number(value)
    : [...value.matchAll(/(\d+)([smh])/g)].reduce((sum, [, n, unit]) => sum + Number(n) * unitOf(unit), 0)
  return seconds >= MINIMUM_SECONDS && seconds <= 86_400 * 365 ? seconds * 1000 : 'invalid'
}

const unitOf = (unit: string | undefined) => (unit === 'h' ? UNITS.h : unit === 'm' ? UNITS.m : UNITS.s)

export interface WaitPreference {
  seconds: number
  /** The value of `Preference-Applied`. */
  applied: string
}

/** `wait` or `wait=n`, at most 60 seconds; anything else is ignored. */
export function parsePrefer(header: string | string[] | undefined): WaitPreference | null {
  const value = typeof header === 'string' ? header.trim() : ''
  const [, , digits] = /^wait(=([1-9]\d?))?$/.exec(value) ?? []
  if (digits !== undefined) return { seconds: Math.min(60, Number(digits)), applied: `wait=${digits}` }
  return value === 'wait' ? { seconds: 60, applied: 'wait' } : null
}

/** The token of a request; null without one. */
export const tokenOf = ({ authorization = '' }: IncomingHttpHeaders): string | null =>
  /^(?:bearer|token) +(\S+)$/i.exec(authorization)?.[1] ?? null
