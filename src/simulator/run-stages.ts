/** Progress of a run, from 0 to 1, at which its parts appear. */

/** The first part of a text run is spent thinking. */
export const THINKING = 0.25
/** Files appear shortly before completion. */
export const FILES_AT = 0.97
