import { VARIABLE_NAMES } from './config-variables.ts'

/** Prefixes of this service's settings, without REDIS_ and MAX_, which other programs use too. */
const OWN_PREFIX = /^(?:REPLICATE|S3|SIMULATOR|TENANT|ARTIFACT)_/
/** Variables that Kubernetes sets for services with such names. */
const SERVICE_LINK = /_SERVICE_(?:HOST|PORT)|_PORT(?:_\d+_|$)/

/** Unused variables that look like a setting of this service, each with the setting that may be meant. */
export function misspelt(names: readonly string[]): { name: string; meant: string | null }[] {
  return names.flatMap((name): { name: string; meant: string | null }[] => {
    if (VARIABLE_NAMES.includes(name) || name.length < 4) return []
    const nearest = VARIABLE_NAMES.map((known) => ({ known, distance: editDistance(name.toUpperCase(), known) })).sort(
      (a, b) => a.distance - b.distance,
    )[0]
    const isNear = nearest !== undefined && nearest.distance <= (nearest.known.length >= 8 ? 2 : 1)
    if (isNear) return [{ name, meant: nearest.known }]
    return OWN_PREFIX.test(name) && !SERVICE_LINK.test(name) ? [{ name, meant: null }] : []
  })
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++)
      next.push(
        Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)),
      )
    row = next
  }
  return row[b.length] ?? 0
}
