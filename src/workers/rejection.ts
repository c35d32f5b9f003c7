import type { JobError } from '../shared/jobs/rules/job.ts'

const REJECTION_CODES: Record<number, string> = {
  403: 'model_forbidden',
  404: 'model_not_found',
  413: 'input_too_large',
  422: 'input_rejected',
}

/** The error of a job whose request Replicate rejects; nothing was created. */
export const rejection = ({ status, message }: { status: number; message: string }): JobError => ({
  code: REJECTION_CODES[status] ?? 'request_rejected',
  message,
  retryable: false,
  billed: 'no',
})
