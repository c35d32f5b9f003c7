import { memo } from 'react'
import { AudioLines, FileIcon } from 'lucide-react'
import { Link } from 'wouter'
import { isFinal } from '../../client/client.ts'
import type { Artifact, Job } from '../../client/types.ts'
import { runPath } from '../address.ts'
import { serviceNow, useSeconds } from '../clock.ts'
import { between, duration, expectedRatio, runningFor, shortSourceOf, titleOf, whenFull, whenShort } from '../format.ts'
import { mediaKind } from '../media.ts'
import { Picture, Print } from '../picture.tsx'
import { useJob } from '../runs.ts'
import { shortWait, phaseLabels } from '../run-labels.ts'
import { StatusIcon } from '../status-icon.tsx'

/** One run on the contact sheet. Renders only when its own job changes. */
export const Tile = memo(function Tile({ id }: { id: string }) {
  const job = useJob(id)
  if (!job) return null
  const title = titleOf(job)
  const { label, shape } = phaseLabels(job)
  return (
    <article className={`tile tile-${job.status}`} role="listitem">
      <Frame job={job} />
      <div className="caption">
        <Link id={job.id} href={runPath(job.id)} className="tile-link" title={title}>
          {title}
        </Link>
        <span className="caption-row">
          <span className="tile-status">
            <StatusIcon shape={shape} size={14} />
            {label}
          </span>
          <Elapsed job={job} />
        </span>
        <span className="caption-row muted">
          <span className="caption-model">{shortSourceOf(job)}</span>
          <time dateTime={job.created_at} title={whenFull(job.created_at)}>
            {whenShort(job.created_at, serviceNow())}
          </time>
        </span>
      </div>
    </article>
  )
})

function Elapsed({ job }: { job: Job }) {
  const running = !isFinal(job)
  useSeconds(running)
  const total = between(job.created_at, job.completed_at)
  return (
    <span className="elapsed">
      {total === null ? runningFor(serviceNow() - Date.parse(job.created_at)) : duration(total)}
    </span>
  )
}

function Frame({ job }: { job: Job }) {
  const pictures = job.artifacts.filter((artifact) => mediaKind(artifact.media_type) === 'image')
  const first = job.artifacts[0]
  const moving = !isFinal(job)
  if (pictures.length > 1) {
    return (
      <div className="frame frame-many">
        {pictures.slice(0, 4).map((artifact) => (
          <Picture key={artifact.id} artifact={artifact} job={job} small />
        ))}
      </div>
    )
  }
  const [picture] = pictures
  if (picture) {
    return (
      <div className="frame">
        <Picture key={picture.id} artifact={picture} job={job} small />
      </div>
    )
  }
  if (first) {
    return (
      <div className="frame frame-plain">
        <Media artifact={first} />
      </div>
    )
  }
  if (job.status === 'failed' || job.status === 'canceled') {
    return (
      <div className="frame frame-plain frame-note">
        <StatusIcon shape={phaseLabels(job).shape} size={20} />
        <p>{job.error?.message ?? phaseLabels(job).headline}</p>
      </div>
    )
  }
  if (typeof job.output === 'string' && job.output !== '') {
    return (
      <div className="frame frame-plain frame-text">
        <p>{job.output.slice(0, 600)}</p>
        {moving && <Progress job={job} />}
      </div>
    )
  }
  if (job.status === 'succeeded') {
    return (
      <div className="frame frame-plain frame-text frame-code">
        <p>{job.output === null ? 'No output' : JSON.stringify(job.output, null, 1).slice(0, 400)}</p>
      </div>
    )
  }
  const wait = shortWait(job)
  return (
    <div className="frame">
      <Print ratio={expectedRatio(job) ?? 1} blank>
        {wait && <span className="print-note">{wait}</span>}
        <Progress job={job} />
      </Print>
    </div>
  )
}

/** A thin progress bar: the model's progress, indeterminate without one, still while queued. */
export function Progress({ job }: { job: Job }) {
  if (isFinal(job) || job.status === 'queued') return null
  if (job.progress === null || job.phase === 'storing' || job.phase === 'stopping') {
    return <span className="progress progress-unsure" aria-hidden="true" />
  }
  return <progress className="progress" max={1} value={job.progress} aria-label="Progress" />
}

/** Audio and video play in place, above the link that covers the tile. */
function Media({ artifact }: { artifact: Artifact }) {
  const kind = mediaKind(artifact.media_type)
  if (kind === 'video') {
    return <video className="tile-media" src={artifact.url} controls playsInline preload="metadata" />
  }
  if (kind === 'audio') {
    return (
      <>
        <AudioLines size={24} />
        <audio className="tile-media" src={artifact.url} controls preload="none" />
      </>
    )
  }
  return (
    <>
      <FileIcon />
      <p className="muted">{artifact.media_type}</p>
    </>
  )
}
