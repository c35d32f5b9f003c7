/** How a release changes files: their texts before and after. */

/** Files that state the version, and the changelog. */
export const RELEASE_FILES = ['package.json', 'package-lock.json', 'docs/openapi.yaml', 'CHANGELOG.md'] as const

const VERSION = /^(\d+)\.(\d+)\.(\d+)$/

/** Whether `next` is a release version after `present`. */
export function isLater(next: string, present: string): boolean {
  const [, ...wanted] = VERSION.exec(next) ?? []
  const [, ...had] = VERSION.exec(present) ?? []
  if (wanted.length === 0 || had.length === 0) return false
  const at = wanted.findIndex((part, i) => part !== had[i])
  return at !== -1 && Number(wanted[at]) > Number(had[at])
}

/** The text of a file for a version released on a day, such as `2026-12-01`. Throws when the file is not as expected. */
export function released(file: (typeof RELEASE_FILES)[number], text: string, version: string, day: string): string {
  switch (file) {
    case 'package.json':
      return replaced(file, text, /^ {2}"version": "[^"]+"/m, `  "version": "${version}"`)
    case 'package-lock.json':
      // Of the lock file, and of the project in it.
      return replaced(
        file,
        text,
        /^( {2}"version": )"[^"]+"([^]*?^ {4}"": \{[^}]*?^ {6}"version": )"[^"]+"/m,
        `$1"${version}"$2"${version}"`,
      )
    case 'docs/openapi.yaml':
      return replaced(file, text, /^ {2}version: \S+$/m, `  version: ${version}`)
    case 'CHANGELOG.md':
      if (notesOf(text) === '') throw new Error('CHANGELOG.md has nothing under "Unreleased".')
      return replaced(file, text, /^## Unreleased$/m, `## Unreleased\n\n## ${version} - ${day}`)
  }
}

/** What the changelog says under a heading, such as `Unreleased`. */
export function notesOf(changelog: string, heading = 'Unreleased'): string {
  const sections = changelog.split(/^## /m).slice(1)
  const section = sections.find((one) => one.startsWith(`${heading}\n`) || one.startsWith(`${heading} - `)) ?? ''
  return section.slice(section.indexOf('\n') + 1).trim()
}

function replaced(file: string, text: string, pattern: RegExp, by: string): string {
  if (!pattern.test(text)) throw new Error(`${file} has no line like ${String(pattern)}.`)
  return text.replace(pattern, by)
}
