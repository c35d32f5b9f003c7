import type { Job } from './types.ts'

/** Fields that say what a job is about. */
const NAMES = ['prompt', 'text', 'message', 'query']

const isLink = (text: string): boolean => /^(https?:\/\/|\/v1\/|data:)/.test(text)

/** What a job is about: its prompt, or another text of its input of several words; null without one. */
export function titleOf({ input }: Pick<Job, 'input'>): string | null {
  const texts = Object.entries(input ?? {}).filter(
    (field): field is [string, string] => typeof field[1] === 'string' && field[1].trim() !== '',
  )
  const named = NAMES.flatMap((name) => texts.filter(([field]) => field === name))
  // A single word is a setting.
  const [[, text] = []] = [...named, ...texts.filter(([, value]) => /\S\s+\S/.test(value) && !isLink(value))]
  return text?.trim() ?? null
}
