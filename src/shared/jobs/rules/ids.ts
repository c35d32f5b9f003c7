import { z } from 'zod'

/** Ids of jobs and batches: a prefix and a ULID. */

export const JOB_ID = /^job_[0-9A-HJKMNP-TV-Z]{26}$/
export const BATCH_ID = /^bat_[0-9A-HJKMNP-TV-Z]{26}$/

export const jobId = z
  .string()
  .regex(JOB_ID)
  .meta({ id: 'JobId', examples: ['job_01KGX5Q8Z2V7M4N6P9R3S5T8W1'] })
export const batchId = z
  .string()
  .regex(BATCH_ID)
  .meta({ id: 'BatchId', examples: ['bat_01KGX5QA3M8K2T6W9X4Y7Z1C5D'] })
