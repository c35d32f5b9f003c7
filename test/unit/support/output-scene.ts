import { vi } from 'vitest'
import type { EventSource } from '../../../src/api/http.ts'
import { createOutputStreams } from '../../../src/api/output/output-streams.ts'
import type { JobRecord } from '../../../src/shared/jobs/rules/job.ts'
import { createLogger } from '../../../src/shared/process/logger.ts'
import { waitFor } from '../../support/wait-for.ts'
import { jobRecord } from './job-states.ts'

/** A job whose record and text the test changes, and what streams of its output need. */
export function outputScene(first: JobRecord, { feeds }: { feeds?: 'none' } = {}) {
  let job: JobRecord | null = first
  /** Reads that fail from now on. */
  let failures = 0
  const listeners = new Set<() => void>()
  /** The text of each prediction until now, and who follows it. */
  const texts = new Map<string, string>()
  const followers = new Map<string, () => void>()
  const log = createLogger({ level: 'silent', readable: false })
  const store = { read: () => (failures-- > 0 ? Promise.reject(new Error('away')) : Promise.resolve(job)) }
  const longOutputOf = () => Promise.resolve(undefined)
  const outputs = createOutputStreams({
    store,
    hub: {
      onJob(_job, listener) {
        listeners.add(listener)
        return () => void listeners.delete(listener)
      },
    },
    longOutputOf,
    feeds: {
      follow(prediction, changed) {
        if (feeds === 'none') return null
        const text = (): string => texts.get(prediction) ?? ''
        followers.set(prediction, changed)
        return {
          length: () => text().length,
          since: (offset) => text().slice(offset),
          begins: (whole) => whole.startsWith(text()),
          leave: () => void followers.delete(prediction),
        }
      },
    },
    log,
  })
  const left = vi.fn<() => void>()
  return {
    store,
    outputs,
    longOutputOf,
    log,
    enter: () => left,
    /** Who follows each prediction, and the job. */
    followers,
    listeners,
    left,
    write(prediction: string, text: string): void {
      texts.set(prediction, text)
      followers.get(prediction)?.()
    },
    become(next: JobRecord | null): void {
      job = next
      for (const listener of listeners) listener()
    },
    fail: (reads: number) => void (failures = reads),
    /** What a reader of the stream gets. */
    read(source: EventSource) {
      const sent: [name: string, data: unknown][] = []
      const ids: string[] = []
      let isOver = false
      const stop = source(
        ({ id, event, data }) => {
          sent.push([event, data])
          ids.push(id)
          return Promise.resolve()
        },
        () => (isOver = true),
      )
      return { sent, ids, stop, over: () => waitFor('the end of the stream', () => isOver) }
    },
  }
}

export const running = (attempt: number, partial: string | null = null): JobRecord =>
  jobRecord('running', { attempt, prediction_id: `p${attempt}`, output_shape: 'text', partial })
export const succeeded = (output: string, attempt = 1): JobRecord =>
  jobRecord('succeeded', { attempt, prediction_id: `p${attempt}`, output_shape: 'text', output })
