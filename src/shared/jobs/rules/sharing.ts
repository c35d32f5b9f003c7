import { isFinal, type JobRecord } from './job.ts'

/** State that a job shares with other jobs: the slots of its preset, and its batch. */

/** The jobs that a job waits for: of its preset, before it in its batch, or holding its batch's remaining credits. */
export const CROWDS = ['preset_limit', 'sequence', 'max_spend'] as const
export type Crowd = (typeof CROWDS)[number]

const inFlight = ({ phase }: Pick<JobRecord, 'phase'>): boolean => phase !== 'queued' && !isFinal(phase)

/** Whether the job holds a slot of its preset. */
export const takesSlot = (job: Pick<JobRecord, 'phase' | 'in_flight_limit'>): boolean =>
  job.in_flight_limit !== null && inFlight(job)

/** The crowds of a batch. */
export const BATCH_CROWDS = ['sequence', 'max_spend'] as const satisfies readonly Crowd[]

/** The crowds in which the job may wait for other jobs to end; empty when only the account's budget limits it. */
export const crowdsOf = ({ in_flight_limit, batch }: Pick<JobRecord, 'in_flight_limit' | 'batch'>): Crowd[] => [
  ...(in_flight_limit === null ? [] : ['preset_limit' as const]),
  ...(batch === null ? [] : BATCH_CROWDS),
]
