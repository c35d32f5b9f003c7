import type { JobRecord, Json, JsonObject } from '../jobs/job.ts'
import { extensionOf } from './media-types.ts'

/**
 * How stored outputs are called. A pattern such as `training-images/{batch}/{index:02}.{ext}` has these placeholders, and
 * `{metadata.<field>}`; what it lacks to tell any two files apart is added to it.
 */
export const PLACEHOLDERS = ['tenant', 'job', 'batch', 'position', 'attempt', 'index', 'ext', 'preset'] as const
type Placeholder = (typeof PLACEHOLDERS)[number]

/** One placeholder of a pattern. */
type Part = { name: Placeholder; digits: number } | { field: string }

/** These are numbers: `{index:02}` has at least two digits. */
const NUMBERS: ReadonlySet<string> = new Set<Placeholder>(['position', 'attempt', 'index'])
const FIELD = /^metadata\.([A-Za-z0-9_-]{1,40})$/
const MAX_FIELDS = 5
/** Characters of a metadata value in a name. */
const MAX_VALUE = 64
/** A metadata value that has nothing to be called by. */
const NO_VALUE = 'none'
/** Patterns of presets that are kept ready. */
const MAX_PATTERNS = 1000

/** On disk, and in a bucket by default. */
export const DISK_PATTERN = '{tenant}/{job}/{attempt}/{index}'
export const BUCKET_PATTERN = '{tenant}/{job}/{attempt}/{index}.{ext}'

type NamedJob = Pick<
  JobRecord,
  'id' | 'tenant' | 'batch' | 'position' | 'preset' | 'metadata' | 'key_pattern' | 'named_as'
>

export interface ArtifactNames {
  /** The key of one output of a job. */
  keyOf(job: NamedJob, attempt: number, index: number, mediaType: string): string
  /** The key of its small picture. */
  thumbnailOf(job: NamedJob, attempt: number, index: number): string
  /** Whether the names of its files depend on its place: a batch and a number in it. */
  isNamedByPlace(job: NamedJob): boolean
  /** Everything below these prefixes belongs to the job. */
  foldersOf(job: NamedJob): string[]
}

/** Our own folders below that of a job. */
const RESERVED = new Set(['thumbnails', 'inputs'])

const isPlaceholder = (name: string): name is Placeholder => (PLACEHOLDERS as readonly string[]).includes(name)

const PART = /\{([^{}]*)\}/g

/** What stands between braces; null: no placeholder. */
function partOf(text: string): Part | null {
  const field = FIELD.exec(text)?.[1]
  if (field !== undefined) return { field }
  const [, name = text, digits] = /^([a-z]+):0([1-9])$/.exec(text) ?? []
  if (!isPlaceholder(name) || (digits !== undefined && !NUMBERS.has(name))) return null
  return { name, digits: Number(digits ?? 1) }
}

/** What is wrong with a pattern, in words; null when it can be used. */
export function patternProblem(pattern: string): string | null {
  for (const [, text = ''] of pattern.matchAll(/\{([^}]*)\}/g))
    if (partOf(text) === null)
      return `{${text}} is none of ${PLACEHOLDERS.map((one) => `{${one}}`).join(' ')} {metadata.<field>}, nor {index:02}`
  if (/\}[A-Za-z0-9]*\{/.test(pattern)) return 'between two placeholders stands one of / - _ .'
  // Values of metadata have hyphens of their own.
  if (/\{metadata\.[^}]*\}[A-Za-z0-9-]*\{/.test(pattern) || /\}[A-Za-z0-9-]*\{metadata\./.test(pattern))
    return 'between {metadata.<field>} and another placeholder stands one of / _ .'
  if (pattern.split('{metadata.').length - 1 > MAX_FIELDS) return `it has more than ${MAX_FIELDS} fields of metadata`
  if (pattern.length > 400) return 'it has more than 400 characters'
  for (const segment of pattern.split('/')) {
    const filled = segment.replaceAll(/\{[^{}]*\}/g, 'x')
    if (!/^[A-Za-z0-9_-][A-Za-z0-9._-]*$/.test(filled))
      return `"${segment}" is no name of A-Z a-z 0-9 _ - and, not first, a dot`
    if (RESERVED.has(segment)) return `${segment} is a name of our own`
    if (segment.indexOf('{ext}') !== segment.lastIndexOf('{ext}')) return '{ext} stands once'
  }
  if (/\{ext\}.*\//.test(pattern)) return '{ext} stands in the last part'
  return null
}

const extensionIn = (pattern: string): string => /\.(?:\{ext\}|[A-Za-z0-9]+)$/.exec(pattern)?.[0] ?? ''

/**
 * The same pattern with everything in it that makes names differ: a file is told by its job, or by batch and position,
 * and by its index.
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

/** The same pattern with the id of the job in it: for jobs of one batch that are called by different patterns. */
export function withJob(pattern: string): string {
  if (pattern.includes('{job}')) return pattern
  const { isNumberedInBatch } = completed(pattern)
  // With the id of the job an index is that of the file alone.
  const numbered = isNumberedInBatch ? pattern.replaceAll(/\{index(:0[1-9])?\}/g, '{position$1}-{index}') : pattern
  const extension = extensionIn(numbered)
  return `${numbered.slice(0, numbered.length - extension.length)}-{job}${extension}`
}

/** A value of metadata as a part of a name: letters, digits and hyphens. */
function nameOf(value: Json | undefined): string {
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') return NO_VALUE
  // Accents go with their marks; what is no letter or digit of ASCII separates words.
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
  /** The segments up to the one that is the job's alone, when all of them are known without looking at a file. */
  folder: string | null
}

function readPattern(given: string): Pattern {
  const problem = patternProblem(given)
  if (problem !== null) throw new Error(`the pattern ${given}: ${problem}`)
  const { pattern, isNumberedInBatch } = completed(given)
  const segments = pattern.split('/')
  const jobAt = segments.findIndex((segment) => segment === '{job}')
  const head = segments.slice(0, jobAt + 1).join('/')
  return { pattern, isNumberedInBatch, folder: jobAt !== -1 && !/\{(?:attempt|index|ext)\b/.test(head) ? head : null }
}

/**
 * `given`: the pattern of the deployment. `byPreset`: whether patterns of presets count, as they do in a bucket. Throws for
 * a pattern that has a problem.
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
    // A job outside of a batch is a batch of its own.
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
      // The second file of a job that is one of many has a number behind its job's.
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
