import { isFinal, type JobRecord } from './job.ts'

/** State that a job shares with other jobs: what is in flight, and its batch. */

/** The jobs that a job of a batch waits for: those before it, or those that hold the remaining credits of the batch. */
export const CROWDS = ['sequence', 'max_spend'] as const
export type Crowd = (typeof CROWDS)[number]

/** Whether the job is in flight: from its intent to its end. */
export const isInFlight = ({ phase }: Pick<JobRecord, 'phase'>): boolean => phase !== 'queued' && !isFinal(phase)

/** The crowds in which the job may wait for other jobs to end; empty when no other job can hold it up. */
export const crowdsOf = ({ batch }: Pick<JobRecord, 'batch'>): readonly Crowd[] => (batch === null ? [] : CROWDS)
