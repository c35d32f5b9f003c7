import { useState, type ReactNode } from 'react'
import { FileIcon } from 'lucide-react'
import { isFinal } from '../../client/client.ts'
import type { Job, Json } from '../../client/types.ts'
import { CopyButton } from '../copy-button.tsx'
import { costLabel } from '../run-labels.ts'
import { humanize, isOwnFile, plain } from '../format.ts'

/** The input as data. */
export function Input({ job }: { job: Job }) {
  return (
    <section className="card" aria-labelledby="input-title">
      <h2 className="card-title" id="input-title">
        Input
      </h2>
      {job.input === null ? (
        <p className="muted">The input has expired.</p>
      ) : (
        <dl className="facts">
          {Object.entries(job.input).map(([name, value]) => (
            <Fact key={name} name={humanize(name)}>
              <Value value={value} />
            </Fact>
          ))}
        </dl>
      )}
      {job.input_truncated && <p className="muted">Long texts are shortened here.</p>}
    </section>
  )
}

/** Further properties as data. */
export function Details({ job }: { job: Job }) {
  const metrics = Object.entries(job.metrics)
  const metadata = Object.entries(job.metadata)
  const cost = costLabel(job)
  const none = isFinal(job) ? 'none' : 'none yet'
  return (
    <>
      <section className="card" aria-labelledby="details-title">
        <h2 className="card-title" id="details-title">
          Details
        </h2>
        <dl className="facts">
          {job.preset && <Fact name="Preset">{job.preset}</Fact>}
          {job.model && <Fact name="Model">{job.model}</Fact>}
          {job.deployment && <Fact name="Deployment">{job.deployment}</Fact>}
          {job.version && (
            <Fact name="Version">
              <Id text={job.version} what="version" />
            </Fact>
          )}
          {job.user !== null && <Fact name="User">{job.user}</Fact>}
          {cost && <Fact name="Cost">{cost}</Fact>}
          <Fact name="Prediction">
            {job.prediction_id ? (
              <Id text={job.prediction_id} what="prediction id" />
            ) : (
              <span className="muted">{none}</span>
            )}
          </Fact>
          <Fact name="Attempt">{job.attempt === 0 ? <span className="muted">{none}</span> : job.attempt}</Fact>
          {metrics.map(([name, value]) => (
            <Fact key={name} name={humanize(name)}>
              <span className="tabular">{metric(name, value)}</span>
            </Fact>
          ))}
        </dl>
      </section>
      {metadata.length > 0 && (
        <section className="card" aria-labelledby="metadata-title">
          <h2 className="card-title" id="metadata-title">
            Metadata
          </h2>
          <dl className="facts">
            {metadata.map(([name, value]) => (
              // The product's own names, shown verbatim.
              <Fact key={name} name={name}>
                <Value value={value} />
              </Fact>
            ))}
          </dl>
        </section>
      )}
      <details className="card raw">
        <summary>Job as JSON</summary>
        <pre className="code" tabIndex={0}>
          {JSON.stringify(job, null, 2)}
        </pre>
        <CopyButton text={JSON.stringify(job, null, 2)} what="job as JSON">
          Copy
        </CopyButton>
      </details>
    </>
  )
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}

function Id({ text, what }: { text: string; what: string }) {
  return (
    <span className="id">
      <code title={text}>{text}</code>
      <CopyButton text={text} what={what} />
    </span>
  )
}

const LONG = 400

function Value({ value }: { value: Json }) {
  const text = plain(value)
  if (isOwnFile(text)) return <InputFile url={text} />
  if (text.length <= LONG) return <span dir="auto">{text}</span>
  return (
    <details className="long-value">
      <summary dir="auto">{text.slice(0, 160)}…</summary>
      <span dir="auto">{text.slice(0, 20_000)}</span>
    </details>
  )
}

/** An input file: a preview if it is a picture, else a link. */
function InputFile({ url }: { url: string }) {
  const [broken, setBroken] = useState(false)
  return (
    <a className="input-file" href={url} target="_blank" rel="noreferrer">
      {broken ? <FileIcon /> : <img src={url} alt="" loading="lazy" onError={() => setBroken(true)} />}
      Open the file
    </a>
  )
}

/** Replicate's times are in seconds. */
function metric(name: string, value: Json): string {
  if (typeof value !== 'number') return plain(value)
  const number = value.toLocaleString(undefined, { maximumFractionDigits: 3 })
  return /(_time|seconds)$/.test(name) ? `${number} s` : number
}
