/**
 * Reasons why a model's schema is not used:
 *
 * - `too_large`: it has too many parts, or is nested too deeply
 * - `not_compiled`: it cannot be compiled
 * - `too_heavy`: compiling it or checking an input by it exceeds the limit of time or memory
 */
export const SCHEMA_PROBLEMS = ['too_large', 'not_compiled', 'too_heavy'] as const
export type SchemaProblem = (typeof SCHEMA_PROBLEMS)[number]
