import type { ApiRequest } from './http.ts'

/** Seconds of `Prefer: wait` without a number, and the longest wait. */
export const MAX_WAIT_S = 60

/**
 * The preference `wait` or `wait=n`: its seconds, of which the caller judges the range; `isPlain`: without a number. null for any
 * other preference, which is ignored, as RFC 7240 requires.
 */
export function preferredWait({ headers }: Pick<ApiRequest, 'headers'>): { seconds: number; isPlain: boolean } | null {
  for (const part of headers.prefer?.split(',') ?? []) {
    const match = /^\s*wait\s*(?:=\s*"?(\d+)"?)?\s*$/i.exec(part)
    if (match) return { seconds: Number(match[1] ?? MAX_WAIT_S), isPlain: match[1] === undefined }
  }
  return null
}
