import type { GenerationLook } from './redis/generation.ts'

/** What is known of other generations of Redis's memory than the present one. */
export interface FormerGenerations {
  /** How long ago each process was seen that has not come over to the present generation yet, ms. */
  processes: number[]
  /** How long ago any process was seen in one of them, ms; null: never. */
  seen: number | null
}

/**
 * Which processes create predictions, and in which generation of Redis's memory they began what is under way. A
 * generation ends when the memory may have gone back, and may take its last moments along.
 */
export interface Presence {
  /** The present generation. */
  look(): Promise<GenerationLook>
  /** The process lives, and nothing of it is under way that began in another generation. */
  beat(process: string, generation: string): Promise<void>
  /** The process has ended, and nothing of it is under way. */
  leave(process: string): Promise<void>
  former(generation: string): Promise<FormerGenerations>
  /** How long ago any process was seen, in any generation, ms; null: never. */
  seenAgo(): Promise<number | null>
  /** What is known of other generations is not needed any more, nor processes of this one that were not seen for `ms`. */
  forget(generation: string, ms: number): Promise<void>
}
