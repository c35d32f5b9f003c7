import type { z } from 'zod'
import { parseDuration } from '../shared/values/duration.ts'
import { fieldErrors, ZOD_ERRORS } from '../shared/errors/zod-errors.ts'
import { UsageError } from './failures.ts'

/** Parses options by the schema of a request. Throws an error that names the invalid option. */
export function readRequest<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const parsed = schema.safeParse(value, ZOD_ERRORS)
  if (parsed.success) return parsed.data
  const [field] = fieldErrors(parsed.error)
  const detail = field?.detail ?? 'not valid'
  throw new UsageError(`${optionOf(field?.pointer ?? '')}: ${detail.replace(/^Expected/, 'expected')}`)
}

/** Option of a field of a request: `--queued-jobs` for `/limits/queued_jobs`, `--scopes` for `/scopes/0`. */
function optionOf(pointer: string): string {
  const names = pointer.split('/').filter((name) => name !== '' && name !== 'limits' && !/^\d+$/.test(name))
  if (names.length === 0) return 'options'
  const option = names.join('-').replaceAll('_', '-').replace(/-at$/, '')
  return option === 'id' ? '<id>' : `--${option}`
}

/** `90d`, `12h`, `30m`, `45s`: in seconds. */
export function readDuration(name: string, text: string): number {
  const seconds = parseDuration(text)
  if (seconds === null) throw new Error(`--${name}: expected a number with s, m, h or d, such as 90d`)
  return seconds
}

/** A number, or `default` for what the deployment's configuration says. */
export function readLimit(name: string, text: string | undefined, digits = 7): number | null | undefined {
  if (text === undefined) return undefined
  if (text === 'default') return null
  if (!/^\d+$/.test(text) || text.length > digits) throw new Error(`--${name}: expected a whole number, or default`)
  return Number(text)
}

/** All pages of a list. */
export async function everyPage<T extends { id: string }>(
  page: (request: { limit: number; after: string | undefined }) => Promise<T[]>,
): Promise<T[]> {
  const all: T[] = []
  for (;;) {
    const next = await page({ limit: 100, after: all.at(-1)?.id })
    all.push(...next)
    if (next.length < 100) return all
  }
}
