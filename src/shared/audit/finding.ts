/** What the auditor looks for (docs/design.md, "Invariants"), and how it says what it found. */

export const INVARIANTS = {
  record_readable: 'Every record can be read.',
  record_complete: 'Nothing is left of a record that is gone.',
  status_fits_phase: 'Phase and status say the same.',
  final_complete: 'A final job says when it ended, and what went wrong if something did; no other job does.',
  attempts_in_order: 'The attempts of a job are numbered from 1; the job names the newest.',
  one_attempt_open: 'Only the newest attempt of a job may have an open outcome, beside those that were given up.',
  attempt_consistent: 'An attempt is what its state says.',
  attempt_fits_phase: 'The newest attempt is where the phase says.',
  effect_fits: 'Every row of the outbox belongs to an attempt, and a job that stores has a row for it.',
  prediction_owned_once: 'A prediction belongs to one attempt, and the index leads to it.',
  indexed: 'A job is in the index of its tenant and in that of its status only.',
  index_member_exists: 'What an index names exists.',
  counted: 'The counters of phases equal a recount.',
  due: 'Everything that is not final has a due time.',
  due_member_open: 'Nothing that is over is due.',
  sweep_scheduled: 'The sweep comes again by itself.',
  open_set: 'The set of open predictions is that of the open attempts.',
  unknown_set: 'The set of unknown outcomes is that of the unknown attempts.',
  storing_set: 'The set of outputs to copy is that of the store rows.',
  retention: 'Every final job, and no other, waits for its clean-up.',
  idempotent: 'An idempotency entry and its job name each other.',
  artifact_stored: 'Every output of a succeeded job is stored with its recorded size and SHA-256.',
  input_kept: 'Every file that an input names is kept with its recorded size and SHA-256, and knows of the job.',
  slots_match: 'The slots of a preset are held by its jobs in flight, and by nothing else.',
  batch_counted: 'A batch counts its jobs, and what they cost, as they are.',
  credit_adds_up: 'In every account granted = balance + held + captured, and its ledger leads there entry by entry.',
  hold_resolved_once: 'What is held for a job is held until it is final, and then captured or released once.',
  create_budget: 'Creates never exceed the limit and its burst.',
  prediction_ours: 'Every prediction with our token belongs to its attempt or is a counted orphan.',
  prediction_found: 'Upstream knows the prediction of every attempt.',
  one_live_prediction: 'No job has two live predictions.',
  upstream_agrees: 'A job ends as its prediction did.',
  at_rest: 'At rest every job is final, and nothing is due or owed.',
} as const

export type Invariant = keyof typeof INVARIANTS

/** A promise of the design that does not hold. */
export interface Finding {
  invariant: Invariant
  /** Of the job, attempt (`<job>:<n>`), index member or prediction that breaks it. */
  id: string
  detail: string
  repairable: boolean
}

/** A Redis command. */
export type Command = [name: string, ...args: string[]]

/** A finding with its cure. */
export interface Problem extends Finding {
  fix: Command[]
  /** The job must still be at this revision for the fix to be right; '' when there must be no job; null: always right. */
  guard: { job: string; rev: string } | null
}

export const attemptId = (job: string, n: number): string => `${job}:${n}`
