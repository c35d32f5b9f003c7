import type { Inputs, TakenFiles } from '../shared/inputs/inputs.ts'
import { filesOf } from '../shared/inputs/rules/reference.ts'
import type { AcceptResult, Lifecycle } from '../shared/jobs/lifecycle.ts'
import type { JobRecord } from '../shared/jobs/rules/job.ts'
import type { Warnings } from '../shared/notifications/warnings.ts'
import type { NewJob } from '../shared/jobs/rules/new-job.ts'
import type { Answering } from '../shared/jobs/rules/answering.ts'
import { knownOutcome, queueFull, refusedAccept } from './accepting.ts'
import type { OwnedRequest } from './http.ts'
import type { Idempotency, IdempotencyOf, IdempotencyScope } from './idempotency.ts'
import type { MayRunUnpriced } from './unpriced.ts'

/** A resolved request for a job; who makes it is added at its acceptance. */
export type RequestedJob = Omit<NewJob, 'tenant' | 'account' | 'key_id'>

export interface AcceptOptions {
  /** Files that the body contained. */
  files?: TakenFiles | undefined
  /** The request that is being answered, noted with the acceptance; it has the id of the job. */
  answering?: Answering | undefined
}

/**
 * Accepts a job, or returns the one that the same request created before. Throws what the API answers: `capacity`,
 * `insufficient_credits`, `too_many_queued`, `accept_unknown` and others.
 */
export type AcceptJob = (
  request: OwnedRequest,
  job: RequestedJob,
  scope: IdempotencyScope,
  options?: AcceptOptions,
) => Promise<{ job: JobRecord; isReplay: boolean }>

export interface AcceptJobDependencies {
  lifecycle: Pick<Lifecycle, 'accept' | 'known' | 'newJobId'>
  mayRunUnpriced: MayRunUnpriced
  inputs: Pick<Inputs, 'attach' | 'release' | 'estimate'>
  idempotencyOf: IdempotencyOf
  account: string
  warnings: Pick<Warnings, 'creditsExhausted'>
  /** Whether Redis has no room for new work. */
  full: () => boolean
}

export function createAcceptJob(dependencies: AcceptJobDependencies): AcceptJob {
  const { lifecycle, mayRunUnpriced, inputs, idempotencyOf, account, warnings, full } = dependencies

  async function acceptNew(
    { principal: { tenant, keyId, limits }, bodyDone }: OwnedRequest,
    job: RequestedJob,
    idempotency: Idempotency | null,
    { files = new Map(), answering }: AcceptOptions,
  ): Promise<AcceptResult> {
    try {
      await mayRunUnpriced({ tenant, key_id: keyId }, [job])
    } catch (error) {
      // A repeated request returns its original job, which was accepted before the tenant was limited.
      const known = idempotency && (await lifecycle.known(idempotency))
      if (!known) throw error
      return known
    }
    const id = answering?.job ?? lifecycle.newJobId()
    const [input = {}] = await inputs.attach(tenant, [{ id, input: job.input }], files)
    bodyDone?.()
    const estimate = await inputs.estimate(job.price, input)
    const accepted = lifecycle.accept({ ...job, input, estimate, tenant, account, key_id: keyId }, id, idempotency, {
      queuedJobs: limits.queued_jobs,
      answering,
    })
    const result = await knownOutcome(id, accepted)
    if (result.kind !== 'accepted') await inputs.release([{ id, input }])
    return result
  }

  return async (request, job, scope, options = {}) => {
    if (full()) throw queueFull()
    const idempotency = await idempotencyOf(request, scope, lifecycle.known)
    const hasFiles = (options.files?.size ?? 0) > 0 || filesOf(job.input).size > 0
    const known = hasFiles && idempotency ? await lifecycle.known(idempotency) : null
    const result = known ?? (await acceptNew(request, job, idempotency, options))
    if (result.kind === 'short') await warnings.creditsExhausted(request.principal.tenant, result.missing)
    if (result.kind !== 'accepted' && result.kind !== 'replayed') throw refusedAccept(result)
    return { job: result.job, isReplay: result.kind === 'replayed' }
  }
}
