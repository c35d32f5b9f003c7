/** The invariants that the audit checks (docs/design.md, "Invariants"), and the form of its findings. */

export const INVARIANTS = {
  record_readable: 'Every record can be read.',
  record_complete: 'Nothing is left of a removed record, or of a removed payload.',
  status_fits_phase: 'Phase and status agree.',
  final_complete: 'A final job, and no other, has a completion time; an unsuccessful one, and no other, has an error.',
  attempts_in_order: 'The attempts of a job are numbered from 1; the job names the newest.',
  one_attempt_open: 'Only the newest attempt of a job, or one that was given up, may have an open outcome.',
  attempt_consistent: 'The fields of an attempt fit its state.',
  attempt_fits_phase: 'The state of the newest attempt fits the phase.',
  effect_fits: 'Every row of the outbox belongs to its job, and a job that stores has a row for it.',
  prediction_owned_once: 'A prediction belongs to one attempt, and the index names that attempt.',
  indexed: 'A job is in the index of its tenant, and in the index of its status only.',
  index_member_exists: 'Everything that an index names exists.',
  counted: 'The counters of phases equal a recount.',
  stored_counted: 'The bytes and files that a tenant stores are counted as their records say.',
  subscribed_counted: 'The types of events that the endpoints of a tenant hear of equal a recount.',
  due: 'Everything that is not final has a due time.',
  due_member_open: 'Nothing that is complete is due.',
  sweep_scheduled: 'The next sweep is scheduled.',
  open_set: 'The set of open predictions equals the open attempts.',
  unknown_set: 'The set of unknown outcomes equals the unknown attempts.',
  storing_set: 'The set of outputs to copy equals the store rows.',
  retention: 'Every final job, and no other, has a scheduled clean-up.',
  idempotent: 'An idempotency entry and its job name each other.',
  artifact_stored: 'Every output of a succeeded job is stored with its recorded size and SHA-256.',
  input_kept:
    'Every long input is kept, and every file that an input names is kept with its recorded size and SHA-256, and lists the job as a user.',
  slots_match: 'The jobs in flight, and nothing else, count for limits of jobs in flight.',
  order_follows: 'Every waiting job is reached by the order of tenants and lanes.',
  batch_counted: 'The counts and sums of a batch equal those of its jobs.',
  credit_adds_up: 'In every account granted = balance + held + captured, and a replay of its ledger gives the same.',
  hold_resolved_once: 'The hold of a job lasts until the job is final, and is then captured or released once.',
  budget_counted:
    'A budget counts in each period what was held for the jobs that were accepted in it, and of those that are over what was captured.',
  create_budget: 'Creates never exceed the rate limit and its burst.',
  prediction_ours: 'Every prediction with our token belongs to its attempt or is a counted orphan.',
  prediction_found: 'Replicate lists the prediction of every attempt.',
  one_live_prediction: 'No job has two live predictions.',
  upstream_agrees: 'The final status of a job agrees with that of its prediction.',
  at_rest: 'At rest every job is final, and nothing is due or owed.',
} as const

export type Invariant = keyof typeof INVARIANTS

/** A violated invariant. */
export interface Finding {
  invariant: Invariant
  /** The job, attempt (`<job>:<n>`), index member or prediction that violates it. */
  id: string
  detail: string
  repairable: boolean
}

/** A Redis command. */
export type Command = [name: string, ...args: string[]]

/** A finding with its repair. */
export interface Problem extends Finding {
  fix: Command[]
  /**
   * The revision of the job for which the fix is correct; '': the job must not exist. `uncounted`: the upload must be ready
   * and not counted. `subscribers`: the endpoints of the tenant and their counts must be as they were `seen`. null: always correct.
   */
  guard: { job: string; rev: string } | { uncounted: string } | { subscribers: string; seen: string } | null
}

/** A problem that can be repaired where there is a fix. */
export const problem = (
  invariant: Invariant,
  id: string,
  detail: string,
  fix: Command[] = [],
  guard: Problem['guard'] = null,
): Problem => ({ invariant, id, detail, repairable: fix.length > 0, fix, guard })
