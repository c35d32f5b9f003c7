/** What is known of another run of Redis than the present one. */
export interface FormerRuns {
  /** How long ago each process was seen that has not come over to the present run yet, ms. */
  processes: number[]
  /** How long ago any process was seen under one of them, ms; null: never. */
  seen: number | null
}

/**
 * Which processes create predictions, and under which run of Redis they began what is under way. A run ends when Redis
 * does, and may take its last moments along.
 */
export interface Presence {
  /** The id of the present run. */
  run(): Promise<string>
  /** The process lives, and nothing of it is under way that began under another run. */
  beat(process: string, run: string): Promise<void>
  /** The process has ended, and nothing of it is under way. */
  leave(process: string): Promise<void>
  former(run: string): Promise<FormerRuns>
  /** How long ago any process was seen, under whichever run, ms; null: never. */
  seenAgo(): Promise<number | null>
  /** What is known of other runs is not needed any more, nor processes of this one that were not seen for `ms`. */
  forget(run: string, ms: number): Promise<void>
}
