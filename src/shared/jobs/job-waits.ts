/** A cause found by a worker that holds up one job; lossy, and expires automatically. */
export interface JobWait {
  /**
   * `files`: uploading files of the input to Replicate; `copy`: copying an output; `storage`: storage is failing; `recovery`:
   * comparing the predictions of an account.
   */
  reason: 'files' | 'copy' | 'storage' | 'recovery'
  /** One or two sentences for the owner of the job. */
  detail: string
  /** ms; time at which the wait ends in any case */
  until?: number | undefined
}

export interface JobWaits {
  /** Never rejects: a lost note only costs an explanation. */
  note(job: string, wait: JobWait | null): Promise<void>
  of(job: string): Promise<JobWait | null>
}
