/** How far a run is, from 0 to 1, when something of it is there. */

/** The first part of a text run is spent thinking. */
export const THINKING = 0.25
/** Files are there a little before the run is over. */
export const FILES_AT = 0.97
