import { useQueryClient } from '@tanstack/react-query'
import { useRef, useState } from 'react'
import { ApiError, NetworkError, newIdempotencyKey } from '../client/client.ts'
import type { Job, JobRequest } from '../client/types.ts'
import { useStudio } from './studio-context.ts'

export interface Refusal {
  message: string
  /** By pointer, with the API's texts. */
  errors: { pointer: string; detail: string }[]
}

export interface Sending {
  sending: boolean
  refusal: Refusal | null
  clear: () => void
}

/**
 * Sends a creating request. The idempotency key belongs to the request content, identified by `what`. It is kept while
 * the outcome is unknown, so pressing the button again never submits twice. The client retries automatically. Returns
 * null when refused. Either way the credits are read again.
 */
export function useSend(): Sending & {
  send: <T>(what: string, call: (idempotencyKey: string) => Promise<T>) => Promise<T | null>
} {
  const [sending, setSending] = useState(false)
  const [refusal, setRefusal] = useState<Refusal | null>(null)
  const queries = useQueryClient()
  const open = useRef<{ what: string; key: string } | null>(null)

  async function send<T>(what: string, call: (idempotencyKey: string) => Promise<T>): Promise<T | null> {
    if (open.current?.what !== what) open.current = { what, key: newIdempotencyKey() }
    const { key } = open.current
    setSending(true)
    setRefusal(null)
    try {
      const made = await call(key)
      open.current = null
      return made
    } catch (error) {
      const unsettled = error instanceof NetworkError || (error instanceof ApiError && error.status >= 500)
      if (!unsettled) open.current = null
      setRefusal(refusalOf(error))
      return null
    } finally {
      setSending(false)
      void queries.invalidateQueries({ queryKey: ['credits'] })
    }
  }

  return { send, sending, refusal, clear: () => setRefusal(null) }
}

/** Submits a new run, or retries one. */
export function useSubmit(): Sending & {
  submit: (request: JobRequest) => Promise<Job | null>
  /** `pinned`: with the same version and seed. */
  retry: (job: Job, pinned?: boolean) => Promise<Job | null>
} {
  const { client, runs } = useStudio()
  const { send, ...state } = useSend()

  async function make(what: string, call: (idempotencyKey: string) => Promise<Job>): Promise<Job | null> {
    const job = await send(what, call)
    if (job) runs.accept(job)
    return job
  }

  return {
    submit: (request) => make(JSON.stringify(request), (idempotencyKey) => client.submit(request, { idempotencyKey })),
    retry: ({ id }, pinned = false) =>
      make(`retry ${id} ${pinned}`, (idempotencyKey) => client.retry(id, { idempotencyKey, pinned })),
    ...state,
  }
}

function refusalOf(error: unknown): Refusal {
  if (error instanceof ApiError) {
    return { message: error.message, errors: error.errors.map(({ pointer, detail }) => ({ pointer, detail })) }
  }
  if (error instanceof NetworkError) {
    return {
      message: 'The service did not respond. Try again: it cannot run twice.',
      errors: [],
    }
  }
  return { message: String(error), errors: [] }
}
