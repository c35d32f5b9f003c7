import { z } from 'zod'

/** Ids of jobs and batches: a prefix and a ULID. */

export const JOB_ID = /^job_[0-9A-HJKMNP-TV-Z]{26}$/
export const BATCH_ID = /^bat_[0-9A-HJKMNP-TV-Z]{26}$/

export const jobId = z.string().regex(JOB_ID).meta({ id: 'JobId' })
export const batchId = z.string().regex(BATCH_ID).meta({ id: 'BatchId' })
