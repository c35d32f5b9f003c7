import type { JobRecord } from '../../jobs/rules/job.ts'
import type { Json, JsonObject } from '../../values/json.ts'
import { extensionOf } from './media-types.ts'

/**
 * Names of stored outputs. A pattern such as `training-images/{batch}/{index:02}.{ext}` has these placeholders and
 * `{metadata.<field>}`; placeholders that it lacks to make names unique are appended.
 */
export const PLACEHOLDERS = ['tenant', 'job', 'batch', 'position', 'attempt', 'index', 'ext', 'preset'] as const
type Placeholder = (typeof PLACEHOLDERS)[number]

/** One placeholder of a pattern. */
type Part = { name: Placeholder; digits: number } | { field: string }

/** Numeric placeholders: `{index:02}` has at least two digits. */
const NUMBERS: ReadonlySet<string> = new Set<Placeholder>(['position', 'attempt', 'index'])
const FIELD = /^metadata\.([A-Za-z0-9_-]{1,40})$/
const MAX_FIELDS = 5
/** Characters of a metadata value in a name. */
const MAX_VALUE = 64
/** Name part for a metadata value without letters or digits. */
const NO_VALUE = 'none'
/** Limit of cached patterns of presets. */
const MAX_PATTERNS = 1000

/** Default patterns on disk and in a bucket. */
export const DISK_PATTERN = '{tenant}/{job}/{attempt}/{index}'
export const BUCKET_PATTERN = '{tenant}/{job}/{attempt}/{index}.{ext}'

type NamedJob = Pick<
  JobRecord,
  'id' | 'tenant' | 'batch' | 'position' | 'preset' | 'metadata' | 'key_pattern' | 'named_as'
>

export interface ArtifactNames {
  /** Key of one output of a job. */
  keyOf(job: NamedJob, attempt: number, index: number, mediaType: string): string
  /** Key of its thumbnail. */
  thumbnailOf(job: NamedJob, attempt: number, index: number): string
  /** Whether the names of a job's files depend on its batch and its number there. */
  isNamedByPlace(job: NamedJob): boolean
  /** Prefixes below which all keys belong to the job. */
  foldersOf(job: NamedJob): string[]
}

/** Reserved folder names. */
const RESERVED = new Set(['thumbnails', 'inputs'])

const isPlaceholder = (name: string): name is Placeholder => (PLACEHOLDERS as readonly string[]).includes(name)

const PART = /\{([^{}]*)\}/g

/** Parses the text between braces; null when it is no placeholder. */
function partOf(text: string): Part | null {
  const field = FIELD.exec(text)?.[1]
  if (field !== undefined) return { field }
  const [, name = text, digits] = /^([a-z]+):0([1-9])$/.exec(text) ?? []
  if (!isPlaceholder(name) || (digits !== undefined && !NUMBERS.has(name))) return null
  return { name, digits: Number(digits ?? 1) }
}

/** Describes the problem of a pattern; null when it is valid. */
export function patternProblem(pattern: string): string | null {
  for (const [, text = ''] of pattern.matchAll(/\{([^}]*)\}/g))
    if (partOf(text) === null)
      return `{${text}} is not a placeholder. Use ${PLACEHOLDERS.map((one) => `{${one}}`).join(' ')} {metadata.<field>}, with digits as in {index:02}`
  if (/\}[A-Za-z0-9]*\{/.test(pattern)) return 'two placeholders need one of / - _ . between them'
  // Values of metadata can contain hyphens.
  if (/\{metadata\.[^}]*\}[A-Za-z0-9-]*\{/.test(pattern) || /\}[A-Za-z0-9-]*\{metadata\./.test(pattern))
    return '{metadata.<field>} and another placeholder need one of / _ . between them'
  if (pattern.split('{metadata.').length - 1 > MAX_FIELDS) return `it has more than ${MAX_FIELDS} metadata fields`
  if (pattern.length > 400) return 'it has more than 400 characters'
  for (const segment of pattern.split('/')) {
    const filled = segment.replaceAll(/\{[^{}]*\}/g, 'x')
    if (!/^[A-Za-z0-9_-][A-Za-z0-9._-]*$/.test(filled))
      return `"${segment}" is not a valid name. Use A-Z a-z 0-9 _ - and, except first, a dot`
    if (RESERVED.has(segment)) return `${segment} is a reserved name`
    if (segment.indexOf('{ext}') !== segment.lastIndexOf('{ext}')) return '{ext} is allowed once'
  }
  if (/\{ext\}.*\//.test(pattern)) return '{ext} is allowed only in the last part'
  return null
}

const extensionIn = (pattern: string): string => /\.(?:\{ext\}|[A-Za-z0-9]+)$/.exec(pattern)?.[0] ?? ''

/**
 * Appends the missing placeholders that make names unique: the job, or batch and position, and the index.
 */
function completed(pattern: string): { pattern: string; isNumberedInBatch: boolean } {
  const has = (name: Placeholder): boolean => pattern.includes(`{${name}}`) || pattern.includes(`{${name}:`)
  const isNumberedInBatch = has('batch') && has('index') && !has('job') && !has('position')
  const missing: Placeholder[] = []
  if (!has('job') && !(has('batch') && (has('position') || isNumberedInBatch)))
    missing.push(has('batch') ? 'position' : 'job')
  if (!has('index')) missing.push('index')
  const added = missing.map((name) => `-{${name}}`).join('')
  const extension = extensionIn(pattern)
  return { pattern: pattern.slice(0, pattern.length - extension.length) + added + extension, isNumberedInBatch }
}

/** Adds the job's id to a pattern, for jobs of one batch whose files are named by different patterns. */
export function withJob(pattern: string): string {
  if (pattern.includes('{job}')) return pattern
  const { isNumberedInBatch } = completed(pattern)
  // With the job's id, the index only counts the files of the job.
  const numbered = isNumberedInBatch ? pattern.replaceAll(/\{index(:0[1-9])?\}/g, '{position$1}-{index}') : pattern
  const extension = extensionIn(numbered)
  return `${numbered.slice(0, numbered.length - extension.length)}-{job}${extension}`
}

/** Metadata value as a part of a name: letters, digits and hyphens. */
function nameOf(value: Json | undefined): string {
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') return NO_VALUE
  // Accents are removed; other characters than ASCII letters and digits separate words.
  const plain = String(value).slice(0, 1000).normalize('NFKD').replaceAll(/\p{M}/gu, '')
  const words = plain.replaceAll(/[^A-Za-z0-9]+/g, '-').replaceAll(/^-+|-+$/g, '')
  return words.slice(0, MAX_VALUE).replace(/-+$/, '') || NO_VALUE
}

type Values = Partial<Record<Placeholder, string | number>>

function fill(text: string, values: Values, metadata: JsonObject): string {
  return text.replaceAll(PART, (whole, inner: string) => {
    const part = partOf(inner)
    if (part === null) return whole
    if ('field' in part) return nameOf(Object.hasOwn(metadata, part.field) ? metadata[part.field] : undefined)
    const value = values[part.name]
    return value === undefined ? whole : String(value).padStart(part.digits, '0')
  })
}

interface Pattern {
  pattern: string
  isNumberedInBatch: boolean
  /** Segments up to the first one that is unique to the job, when they do not depend on a file. */
  folder: string | null
}

function readPattern(given: string): Pattern {
  const problem = patternProblem(given)
  if (problem !== null) throw new Error(`the pattern ${given} is invalid: ${problem}`)
  const { pattern, isNumberedInBatch } = completed(given)
  const segments = pattern.split('/')
  const jobAt = segments.findIndex((segment) => segment === '{job}')
  const head = segments.slice(0, jobAt + 1).join('/')
  return { pattern, isNumberedInBatch, folder: jobAt !== -1 && !/\{(?:attempt|index|ext)\b/.test(head) ? head : null }
}

/**
 * `given`: the pattern of the deployment. `byPreset`: whether patterns of presets apply, as they do in a bucket. Throws for
 * an invalid pattern.
 */
export function createArtifactNames(given: string, { byPreset = false } = {}): ArtifactNames {
  const own = readPattern(given)
  const ofPresets = new Map<string, Pattern>()
  function patternOf({ key_pattern }: NamedJob): Pattern {
    if (!byPreset || key_pattern === null) return own
    const known = ofPresets.get(key_pattern)
    if (known) return known
    if (ofPresets.size >= MAX_PATTERNS) ofPresets.clear()
    const read = readPattern(key_pattern)
    ofPresets.set(key_pattern, read)
    return read
  }
  const placeOf = ({ id, batch, position, named_as }: NamedJob): { batch: string; position: number } =>
    // A job without a batch is its own batch.
    named_as ?? { batch: batch ?? id, position: position ?? 0 }
  const valuesOf = (job: NamedJob): Values => ({
    tenant: job.tenant,
    job: job.id,
    ...placeOf(job),
    preset: job.preset ?? NO_VALUE,
  })
  const ownFolder = ({ tenant, id }: NamedJob): string => `${tenant}/${id}`

  return {
    keyOf(job, attempt, index, mediaType) {
      const { pattern, isNumberedInBatch } = patternOf(job)
      const ext = extensionOf(mediaType)
      if (!isNumberedInBatch) return fill(pattern, { ...valuesOf(job), attempt, index, ext }, job.metadata)
      // The second and later files of a job in a batch append their index to the job's number.
      const { position } = placeOf(job)
      const numbered = index === 0 ? pattern : pattern.replaceAll(/(\{index(?::0[1-9])?\})/g, `$1-${index}`)
      return fill(numbered, { ...valuesOf(job), attempt, index: position, ext }, job.metadata)
    },
    isNamedByPlace: (job) => /\{(?:batch|position)\b/.test(patternOf(job).pattern),
    thumbnailOf: (job, attempt, index) => `${ownFolder(job)}/thumbnails/${attempt}-${index}.webp`,
    foldersOf(job) {
      const { folder } = patternOf(job)
      return [...new Set([ownFolder(job), ...(folder === null ? [] : [fill(folder, valuesOf(job), job.metadata)])])]
    },
  }
}
