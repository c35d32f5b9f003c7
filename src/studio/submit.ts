import { useRef, useState } from 'react'
import { ApiError, NetworkError, newIdempotencyKey } from '../client/client.ts'
import type { Job, JobRequest } from '../client/types.ts'
import { useStudio } from './studio-context.ts'

export interface Refusal {
  message: string
  /** By pointer, in the API's own words. */
  errors: { pointer: string; detail: string }[]
}

/**
 * Submits one request. The idempotency key belongs to the request: it is kept over another press of the button while the
 * outcome of the first is not known, so that one wish never becomes two jobs. The client repeats by itself.
 */
export function useSubmit(): {
  submit: (request: JobRequest) => Promise<Job | null>
  sending: boolean
  refusal: Refusal | null
  clear: () => void
} {
  const { client, runs } = useStudio()
  const [sending, setSending] = useState(false)
  const [refusal, setRefusal] = useState<Refusal | null>(null)
  const open = useRef<{ body: string; key: string } | null>(null)

  async function submit(request: JobRequest): Promise<Job | null> {
    const body = JSON.stringify(request)
    if (open.current?.body !== body) open.current = { body, key: newIdempotencyKey() }
    const { key } = open.current
    setSending(true)
    setRefusal(null)
    try {
      const job = await client.submit(request, { idempotencyKey: key })
      open.current = null
      runs.accept(job)
      return job
    } catch (error) {
      const unsettled = error instanceof NetworkError || (error instanceof ApiError && error.status >= 500)
      if (!unsettled) open.current = null
      setRefusal(refusalOf(error))
      return null
    } finally {
      setSending(false)
    }
  }

  return { submit, sending, refusal, clear: () => setRefusal(null) }
}

function refusalOf(error: unknown): Refusal {
  if (error instanceof ApiError) {
    return { message: error.message, errors: error.errors.map(({ pointer, detail }) => ({ pointer, detail })) }
  }
  if (error instanceof NetworkError) {
    return { message: 'The service did not answer. Pressing Run again is safe: it cannot run twice.', errors: [] }
  }
  return { message: String(error), errors: [] }
}

/** The same request again, as a new job. */
export function requestOf(job: Job): JobRequest {
  return {
    ...targetOf(job),
    input: job.input ?? {},
    timeout: job.timeout,
    start_within: job.start_within,
    webhook_events: job.webhook_events,
    metadata: job.metadata,
    on_unknown: job.on_unknown,
  }
}

function targetOf({ deployment, model, version }: Job): Pick<JobRequest, 'deployment' | 'model' | 'version'> {
  if (deployment) return { deployment }
  if (!version) return model ? { model } : {}
  return { version: model && !version.includes(':') ? `${model}:${version}` : version }
}
