import type { JobRecord } from '../jobs/job.ts'
import { extensionOf } from './media-types.ts'

/**
 * How stored outputs are called. A pattern such as `training-images/{batch}/{index}.{ext}` has these placeholders; what
 * it lacks to tell any two files apart is added to it.
 */
export const PLACEHOLDERS = ['tenant', 'job', 'batch', 'position', 'attempt', 'index', 'ext', 'preset'] as const
type Placeholder = (typeof PLACEHOLDERS)[number]

/** On disk, and in a bucket by default. */
export const DISK_PATTERN = '{tenant}/{job}/{attempt}/{index}'
export const BUCKET_PATTERN = '{tenant}/{job}/{attempt}/{index}.{ext}'

type NamedJob = Pick<JobRecord, 'id' | 'tenant' | 'batch' | 'position' | 'preset'>

export interface ArtifactNames {
  /** The key of one output of a job. */
  keyOf(job: NamedJob, attempt: number, index: number, mediaType: string): string
  /** The key of its small picture. */
  thumbnailOf(job: NamedJob, attempt: number, index: number): string
  /** Everything below these prefixes belongs to the job. */
  foldersOf(job: NamedJob): string[]
}

/** Our own folders below that of a job. */
const RESERVED = new Set(['thumbnails', 'inputs'])

const isPlaceholder = (name: string): name is Placeholder => (PLACEHOLDERS as readonly string[]).includes(name)

/** What is wrong with a pattern, in words; null when it can be used. */
export function patternProblem(pattern: string): string | null {
  for (const [, name = ''] of pattern.matchAll(/\{([^}]*)\}/g))
    if (!isPlaceholder(name)) return `{${name}} is none of ${PLACEHOLDERS.map((one) => `{${one}}`).join(' ')}`
  if (/\}[A-Za-z0-9]*\{/.test(pattern)) return 'between two placeholders stands one of / - _ .'
  if (pattern.length > 400) return 'it has more than 400 characters'
  for (const segment of pattern.split('/')) {
    const filled = segment.replaceAll(/\{\w+\}/g, 'x')
    if (!/^[A-Za-z0-9_-][A-Za-z0-9._-]*$/.test(filled))
      return `"${segment}" is no name of A-Z a-z 0-9 _ - and, not first, a dot`
    if (RESERVED.has(segment)) return `${segment} is a name of our own`
    if (segment.indexOf('{ext}') !== segment.lastIndexOf('{ext}')) return '{ext} stands once'
  }
  if (/\{ext\}.*\//.test(pattern)) return '{ext} stands in the last part'
  return null
}

/**
 * The same pattern with everything in it that makes names differ: a file is told by its job, or by batch and position,
 * and by its index.
 */
function completed(pattern: string): { pattern: string; isNumberedInBatch: boolean } {
  const has = (name: Placeholder): boolean => pattern.includes(`{${name}}`)
  const isNumberedInBatch = has('batch') && has('index') && !has('job') && !has('position')
  const missing: Placeholder[] = []
  if (!has('job') && !(has('batch') && (has('position') || isNumberedInBatch)))
    missing.push(has('batch') ? 'position' : 'job')
  if (!has('index')) missing.push('index')
  const added = missing.map((name) => `-{${name}}`).join('')
  const extension = /\.(?:\{ext\}|[A-Za-z0-9]+)$/.exec(pattern)?.[0] ?? ''
  return { pattern: pattern.slice(0, pattern.length - extension.length) + added + extension, isNumberedInBatch }
}

/** Throws for a pattern that has a problem. */
export function createArtifactNames(given: string): ArtifactNames {
  const problem = patternProblem(given)
  if (problem !== null) throw new Error(`the pattern ${given}: ${problem}`)
  const { pattern, isNumberedInBatch } = completed(given)
  const fill = (text: string, values: Partial<Record<Placeholder, string>>): string =>
    text.replaceAll(/\{(\w+)\}/g, (whole, name: string) => (isPlaceholder(name) ? values[name] : undefined) ?? whole)
  const valuesOf = (job: NamedJob): Partial<Record<Placeholder, string>> => ({
    tenant: job.tenant,
    job: job.id,
    // A job outside of a batch is a batch of its own.
    batch: job.batch ?? job.id,
    position: String(job.position ?? 0),
    preset: job.preset ?? 'none',
  })
  const ownFolder = ({ tenant, id }: NamedJob): string => `${tenant}/${id}`
  /** The segments up to the one that is the job's alone, when all of them are known without looking at a file. */
  const segments = pattern.split('/')
  const jobAt = segments.findIndex((segment) => segment === '{job}')
  const head = segments.slice(0, jobAt + 1).join('/')
  const patternFolder = jobAt !== -1 && !/\{(?:attempt|index|ext)\}/.test(head) ? head : null

  return {
    keyOf: (job, attempt, index, mediaType) =>
      fill(pattern, {
        ...valuesOf(job),
        attempt: String(attempt),
        // The second file of a job that is one of many has a number behind its job's.
        index: isNumberedInBatch ? `${job.position ?? 0}${index === 0 ? '' : `-${index}`}` : String(index),
        ext: extensionOf(mediaType),
      }),
    thumbnailOf: (job, attempt, index) => `${ownFolder(job)}/thumbnails/${attempt}-${index}.webp`,
    foldersOf: (job) => [
      ...new Set([ownFolder(job), ...(patternFolder === null ? [] : [fill(patternFolder, valuesOf(job))])]),
    ],
  }
}
