import type { Artifact, Job, JobManifest, Json, ManifestLine } from './types.ts'

const UPLOAD = /^\/v1\/uploads\/upl_[0-9A-Z]{26}$/

/** Makes the links in answers absolute, and those of uploads in inputs relative again. `base` is '' for the own origin. */
export function createLinks(base: string) {
  const absolute = (link: string): string => (link.startsWith('/') ? base + link : link)
  const upload = (text: string): string => (UPLOAD.test(text) ? base + text : text)

  const artifact = <A extends Partial<Pick<Artifact, 'url' | 'thumbnail_url'>>>(one: A): A => ({
    ...one,
    ...(one.url === undefined ? {} : { url: absolute(one.url) }),
    ...(one.thumbnail_url ? { thumbnail_url: absolute(one.thumbnail_url) } : {}),
  })

  /** The files of an output are those of its artifacts: any other text stays as it is. */
  function output(value: Json, artifacts: readonly Partial<Artifact>[]): Json {
    const files = new Set(artifacts.map(({ url }) => url))
    return mapTexts(value, (text) => (files.has(text) ? absolute(text) : text))
  }

  function result<J extends Pick<Job, 'input' | 'output' | 'artifacts'>>(job: J): J {
    // Not a job of this API: it is returned as it came.
    if (!Array.isArray(job.artifacts)) return job
    return {
      ...job,
      input: mapTexts(job.input, upload),
      output: output(job.output, job.artifacts),
      artifacts: job.artifacts.map(artifact),
    }
  }

  const same = <T>(value: T): T => value
  if (base === '')
    return {
      absolute,
      job: same<Job>,
      manifestLine: same<ManifestLine>,
      jobManifest: same<JobManifest>,
      ofUpload: same<string>,
    }
  return {
    absolute,
    job: (job: Job): Job => result(job),
    manifestLine: (line: ManifestLine): ManifestLine => result(line),
    jobManifest: (manifest: JobManifest): JobManifest => ({
      ...manifest,
      input: mapTexts(manifest.input, upload),
      artifacts: manifest.artifacts.map(artifact),
    }),
    /** A text of an input: the link of an upload, as the service knows it. */
    ofUpload: (text: string): string =>
      text.startsWith(base) && UPLOAD.test(text.slice(base.length)) ? text.slice(base.length) : text,
  }
}

function mapTexts<T extends Json>(value: T, map: (text: string) => string): T
function mapTexts(value: Json, map: (text: string) => string): Json {
  if (typeof value === 'string') return map(value)
  if (Array.isArray(value)) return value.map((item) => mapTexts(item, map))
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapTexts(item, map)]))
}
