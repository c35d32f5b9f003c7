import { configureGlobal } from 'fast-check'

/**
 * Property tests draw the same examples in every run, so that a change is judged and not luck. `npm run soak` names
 * another seed for each of its rounds, and how many times as many examples are drawn.
 */
const seed = Number(process.env['TEST_PROPERTY_SEED'] ?? 1)
const times = Number(process.env['TEST_PROPERTY_TIMES'] ?? 1)

/** The number of examples of a property that needs more or fewer than a hundred. */
export const examples = (count: number): number => count * times

configureGlobal({ seed, numRuns: examples(100) })
