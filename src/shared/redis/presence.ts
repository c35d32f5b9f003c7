import type { GenerationLook } from './generation.ts'

/** Known facts about former generations of Redis's memory. */
export interface FormerGenerations {
  /** Time since the last heartbeat of each process that has not reported in the current generation yet, ms. */
  processes: number[]
  /** Time since the last heartbeat of any process in one of them, ms; null: never. */
  seen: number | null
}

/**
 * Processes that create predictions, and the generation of Redis's memory in which their creates in flight began. A
 * generation ends when the memory may have gone back, and its last writes can be lost with it.
 */
export interface Presence {
  /** The current generation. */
  look(): Promise<GenerationLook>
  /** Heartbeat: the process runs, and none of its creates in flight began in another generation. */
  beat(process: string, generation: string): Promise<void>
  /** The process has stopped and has no create in flight. */
  leave(process: string): Promise<void>
  former(generation: string): Promise<FormerGenerations>
  /**
   * Time from which the list of an account was not compared, ms. `unlisted`: the accounts whose gates are closed; `from`: the same
   * time for those of them that have none yet. Null: another generation has begun.
   */
  unlistedSince(generation: string, account: string, unlisted: readonly string[], from: number): Promise<number | null>
  /** Time since the last heartbeat of any process, in any generation, ms; null: never. */
  seenAgo(): Promise<number | null>
  /** Removes the facts about other generations, and processes of the current one without a heartbeat for `ms`. */
  forget(generation: string, ms: number): Promise<void>
}
