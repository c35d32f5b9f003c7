/** What a worker met that holds up one job; lossy, and forgotten by itself. */
export interface JobWait {
  /** `files`: handing over files of the input; `copy`: copying an output; `storage`: the place for files fails. */
  reason: 'files' | 'copy' | 'storage'
  /** One or two sentences for the owner of the job. */
  detail: string
}

export interface JobWaits {
  /** Never rejects: a note that is lost costs words only. */
  note(job: string, wait: JobWait | null): Promise<void>
  of(job: string): Promise<JobWait | null>
}
