import type { CheckResult } from './rules/check.ts'

/** Probes under way. A receiver answers a probe only while it is open. */
export interface OpenProbes {
  /** For two minutes. */
  open(probe: string): Promise<void>
  close(probe: string): Promise<void>
  isOpen(probe: string): Promise<boolean>
}

/** Answers of workers to runs of the doctor. */
export interface DoctorAnswers {
  /** A worker has begun. False: nobody waits for this run any more. */
  begin(run: string): Promise<boolean>
  answer(run: string, results: readonly CheckResult[]): Promise<void>
}

/** How a worker reacted to a request. */
export type WorkerAnswer =
  | { kind: 'answered'; results: CheckResult[] }
  /** No worker took the request in time. */
  | { kind: 'not_taken' }
  /** A worker took it and did not finish in time. */
  | { kind: 'not_finished' }

/** Has a worker make its checks. */
export interface AskWorker {
  ask(): Promise<WorkerAnswer>
}
