import type { ArtifactRecord, JobRecord } from '../../jobs/rules/job.ts'
import { parseArtifactId } from './artifact-links.ts'
import { extensionOf } from './media-types.ts'

type NamedJob = Pick<JobRecord, 'id' | 'preset' | 'model' | 'deployment' | 'version' | 'artifacts'>

/** Limit of the source part; with id, number and extension the name fits the 255 bytes of any file system. */
const MAX_SOURCE = 60

/**
 * Download name of an output: `<preset or model>-<id of the job>.<ext>`, with a number before the extension when the job
 * has several outputs, from 1, zero-padded so that they sort. Consists of ASCII letters, digits, `.`, `_` and `-`, without
 * a leading dot: safe in a header, in a shell and on every file system.
 */
export function fileNameOf(job: NamedJob, { id, media_type }: Pick<ArtifactRecord, 'id' | 'media_type'>): string {
  const { length } = job.artifacts
  const index = parseArtifactId(id)?.index ?? 0
  const number = length > 1 ? `-${String(index + 1).padStart(String(length).length, '0')}` : ''
  return `${sourceOf(job)}-${job.id.replace(/^job_/, '')}${number}.${extensionOf(media_type)}`
}

/** Preset name, or the last part of the model or deployment: `flux-schnell` of `black-forest-labs/flux-schnell`. */
function sourceOf({ preset, model, deployment, version }: NamedJob): string {
  const name = preset ?? (model ?? deployment ?? version)?.split(':')[0]?.split('/').at(-1) ?? ''
  const plain = name
    .replaceAll(/[^A-Za-z0-9._-]+/g, '-')
    .slice(0, MAX_SOURCE)
    .replaceAll(/^[.-]+|[.-]+$/g, '')
  return plain === '' ? 'output' : plain
}
