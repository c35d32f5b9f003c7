import { estimatePrice } from '../../credits/rules/price.ts'
import type { JsonObject } from '../../values/json.ts'
import { pick } from '../../values/pick.ts'
import { ABSENT_IN_JOB, fieldsWith, type AskedField, type JobRecord } from './job.ts'

/** A validated request for a job. */
export interface NewJob
  extends
    Pick<JobRecord, Exclude<AskedField, 'input' | 'named_as' | 'via' | 'cancel_after' | 'output_is_list' | 'webhook'>>,
    Partial<Pick<JobRecord, 'via' | 'cancel_after' | 'output_is_list' | 'webhook' | 'estimate'>> {
  input: JsonObject
  named_as?: JobRecord['named_as']
}

const AGAIN = fieldsWith('again')

/** The request of a job like this one, without its input, which retention may have removed, and without its retention. */
export const sameAgain = (job: JobRecord): Pick<JobRecord, AskedField<'again'>> => pick(job, AGAIN)

/** The record of a job at acceptance. `place`: its place in a batch. */
export function newRecord(
  request: NewJob,
  id: string,
  idempotency: string | null,
  place: Pick<JobRecord, 'batch' | 'position' | 'in_sequence'> = { batch: null, position: null, in_sequence: false },
): JobRecord {
  return {
    ...ABSENT_IN_JOB,
    v: 1,
    id,
    rev: 0,
    ...request,
    named_as: request.named_as ?? null,
    ...place,
    estimate: request.estimate ?? (request.price === null ? 0 : estimatePrice(request.price, request.input)),
    idempotency,
    phase: 'queued',
    status: 'queued',
    created_at: 0,
    start_since: 0,
    start_paused: 0,
    updated_at: 0,
  }
}
