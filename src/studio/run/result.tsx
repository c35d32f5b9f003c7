import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { AudioLines, Download, FileIcon } from 'lucide-react'
import { isFinal } from '../../client/client.ts'
import type { Artifact, Job, Json } from '../../client/types.ts'
import { CopyButton } from '../copy-button.tsx'
import { bytes, duration, expectedRatio, shortSourceOf, whenToTheMinute } from '../format.ts'
import { downloadUrl, mediaKind } from '../media.ts'
import { Picture, Print } from '../picture.tsx'
import { phaseLabels } from '../run-labels.ts'
import { Progress } from '../sheet/tile.tsx'

/** The result, rendered by kind. Everything is shown as data, never as markup. `written`: the text until now. */
export function Result({ job, written }: { job: Job; written: string }) {
  if (job.artifacts.length > 0) {
    return (
      <section aria-label="Result" className={job.artifacts.length > 1 ? 'result result-many' : 'result'}>
        {job.artifacts.map((artifact) => (
          <ArtifactView key={artifact.id} job={job} artifact={artifact} />
        ))}
        {!onlyFiles(job) && <JsonView job={job} />}
      </section>
    )
  }
  const text = textOf(job, written)
  if (text !== '') return <TextView job={job} text={text} />
  if (job.output !== null && job.output !== '') return <JsonView job={job} />
  if (!isFinal(job)) return <Developing job={job} />
  if (job.status !== 'succeeded') return null
  return (
    <section className="notice" aria-label="Result">
      <p className="muted">{job.input === null ? 'The output has expired.' : 'The model returned no output.'}</p>
    </section>
  )
}

/** The job has the beginning of a text while it is written, and all of it at the end. */
function textOf(job: Job, written: string): string {
  const known = typeof job.output === 'string' ? job.output : ''
  return !isFinal(job) && written.length > known.length ? written : known
}

/** Whether the output contains nothing beyond the files: it is null, a file, or a list of files. */
function onlyFiles({ output, artifacts }: Job): boolean {
  const isFile = (each: Json): boolean => each === null || artifacts.some(({ url }) => url === each)
  return Array.isArray(output) ? output.every(isFile) : isFile(output)
}

function Developing({ job }: { job: Job }) {
  return (
    <section aria-label="Result" className="result">
      <div className="stage">
        <Print ratio={expectedRatio(job) ?? 16 / 9} blank live={job.status !== 'queued'}>
          {job.progress !== null && job.phase === 'running' ? (
            <span className="print-share">{Math.round(job.progress * 100)}%</span>
          ) : (
            <span className="print-note">{phaseLabels(job).waiting}</span>
          )}
        </Print>
      </div>
    </section>
  )
}

function ArtifactView({ job, artifact }: { job: Job; artifact: Artifact }) {
  const [seen, setSeen] = useState<string | null>(null)
  const kind = mediaKind(artifact.media_type)
  const { name, width, height, duration: seconds } = artifact
  const size = width && height ? `${width} × ${height}` : seen
  const length = seconds === null ? null : duration(seconds * 1000)
  const facts = [artifact.media_type, size, length, bytes(artifact.bytes)].filter((each) => each !== null)
  return (
    <figure className="artifact">
      {kind === 'image' && (
        <a className="stage" href={artifact.url} target="_blank" rel="noreferrer" title="Open in a new tab">
          <Picture job={job} artifact={artifact} onSize={(across, down) => setSeen(`${across} × ${down}`)} />
        </a>
      )}
      {kind === 'video' && (
        <div className="stage">
          <video src={artifact.url} controls playsInline preload="metadata" />
        </div>
      )}
      {kind === 'audio' && (
        <div className="stage stage-sound">
          <AudioLines size={24} />
          <audio src={artifact.url} controls preload="metadata" />
        </div>
      )}
      {kind === 'text' && <TextFile artifact={artifact} name={name} />}
      {kind === 'file' && <PlainFile name={name} />}
      <figcaption>
        <span className="muted tabular">
          {facts.join(' · ')}
          {isFinal(job) && job.keep.files === 'forever' && (
            <>
              <br />
              Kept permanently
            </>
          )}
          {artifact.expires_at && (
            <>
              <br />
              Kept until <time dateTime={artifact.expires_at}>{whenToTheMinute(artifact.expires_at)}</time>
            </>
          )}
        </span>
        <a className="button" href={downloadUrl(artifact.url)} download>
          <Download />
          Download
        </a>
      </figcaption>
    </figure>
  )
}

function PlainFile({ name }: { name: string }) {
  return (
    <div className="stage stage-file">
      <FileIcon />
      <p>{name}</p>
    </div>
  )
}

/** Characters shown of a text file; the download has the rest. */
const SHOWN = 200_000

/** A text that is too long for the job record, read from its file. */
function TextFile({ artifact, name }: { artifact: Artifact; name: string }) {
  const { url } = artifact
  // Long, and not needed once the page is left.
  const { data: value, isError } = useQuery({ queryKey: ['text', url], queryFn: () => readText(url), gcTime: 0 })
  if (isError) return <PlainFile name={name} />
  return (
    <pre className="text-result text-file" tabIndex={0} aria-label={name} dir="auto">
      {value === undefined ? 'Reading…' : value.slice(0, SHOWN)}
      {value !== undefined && value.length > SHOWN && '\n…'}
    </pre>
  )
}

async function readText(url: string): Promise<string> {
  const response = await fetch(url)
  if (!response.ok) throw new Error(`HTTP ${response.status}`)
  return response.text()
}

function TextView({ job, text }: { job: Job; text: string }) {
  return (
    <section aria-label="Result" className="result">
      <div className="text-result">
        {!isFinal(job) && <Progress job={job} />}
        <p dir="auto" aria-busy={!isFinal(job)}>
          {text}
        </p>
      </div>
      {isFinal(job) && <TextActions text={text} name={textName(job, 'txt')} type="text/plain" />}
    </section>
  )
}

function JsonView({ job }: { job: Job }) {
  const text = JSON.stringify(job.output, null, 2)
  return (
    <section aria-label="Output as JSON" className="result">
      <pre className="text-result code" tabIndex={0}>
        {text}
      </pre>
      <TextActions text={text} name={textName(job, 'json')} type="application/json" />
    </section>
  )
}

/** A text in the job record gets a name like those of the files (src/shared/artifacts/rules/file-names.ts). */
const textName = (job: Job, extension: string): string =>
  `${shortSourceOf(job)}-${job.id.replace(/^job_/, '')}.${extension}`

function TextActions({ text, name, type }: { text: string; name: string; type: string }) {
  const save = () => {
    const url = URL.createObjectURL(new Blob([text], { type }))
    const link = document.createElement('a')
    link.href = url
    link.download = name
    link.click()
    URL.revokeObjectURL(url)
  }
  return (
    <div className="buttons">
      <CopyButton text={text} what="output">
        Copy
      </CopyButton>
      <button type="button" className="button" onClick={save}>
        <Download />
        Download
      </button>
    </div>
  )
}
