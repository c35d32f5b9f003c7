import { readFileSync } from 'node:fs'

/** The programs of a guide by their file names: blocks that name the same file make one. */
export function programsOf(guide: string): Map<string, string> {
  const text = readFileSync(new URL(`../../docs/guides/${guide}.md`, import.meta.url), 'utf8')
  const programs = new Map<string, string>()
  for (const [, file = '', block = ''] of text.matchAll(/^```\w+ (\S+)\n(.*?)^```$/gms))
    programs.set(file, (programs.get(file) ?? '') + block)
  return programs
}
