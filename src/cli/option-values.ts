import { UsageError } from './failures.ts'

/** Values of an option that may be repeated. */
export const collect = (value: string, before: string[] = []): string[] => [...before, value]

/** `a, b`. */
export const listed = (text: string): string[] => text.split(',').map((part) => part.trim())

/** Parses a whole number. */
export const whole = (name: string) => (text: string) => {
  if (!/^\d{1,15}$/.test(text)) throw new UsageError(`--${name} ${text}: expected a whole number`)
  return Number(text)
}
