/** A time of at most `ms`, so that what began together does not happen again and again at the same moment. */
export const spread = (ms: number): number => ms * (0.75 + Math.random() / 4)
