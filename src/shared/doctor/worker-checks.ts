import type { AskWorker } from './ports.ts'
import { failed, skipped, warning } from './rules/check.ts'
import { allOf, runChecks, type CheckGroup, type Findings } from './run-checks.ts'

/** Probes that only a worker sends. */
export const noWorker = (names: CheckGroup['names']): CheckGroup => ({
  names,
  within: 1_000,
  run: () =>
    Promise.resolve(
      allOf(
        names,
        failed(
          'No worker answered, so no probe was sent: workers send it, as they write the webhook URL into predictions.',
          'Start a worker of this release, and run the doctor again.',
        ),
      ),
    ),
})

/** Checks of a worker. `own`: groups that this process makes when no worker does. */
export function workerChecks(options: {
  isWorkerSeen: () => Promise<boolean>
  worker: AskWorker
  /** Of this process. */
  publicUrl: () => string | null
  own: readonly CheckGroup[]
  /** ms for both. */
  within: number
}): CheckGroup {
  const names = options.own.flatMap((group) => group.names)
  return {
    names,
    within: options.within,
    async run() {
      const asked = (await options.isWorkerSeen()) ? await options.worker.ask() : { kind: 'not_taken' as const }
      const results = asked.kind === 'answered' ? asked.results : await runChecks(options.own)
      const findings: Findings = Object.fromEntries(results.map(({ name, ...finding }) => [name, finding]))
      const missing = asked.kind === 'answered' ? names.filter((name) => findings[name] === undefined) : []
      const unknown = skipped('The worker that answered is of an older release and does not know this check.')
      return { ...allOf(missing, unknown), ...differing(findings, options.publicUrl()) }
    },
  }
}

/** Warns where PUBLIC_URL of this process is another one than that of the worker, which counts. */
function differing(findings: Findings, publicUrl: string | null): Findings {
  const found = findings.webhook_address
  const ofWorker = found?.details['url'] ?? null
  if (found === undefined || found.state === 'failed' || publicUrl === ofWorker || publicUrl === null) return findings
  const seen = `PUBLIC_URL is ${publicUrl} here and ${ofWorker ?? 'not set'} in the worker, which writes it into predictions.`
  const todo = 'Set PUBLIC_URL for workers and apis alike, and restart them.'
  return { ...findings, webhook_address: { ...found, ...warning(seen, todo, found.details) } }
}
