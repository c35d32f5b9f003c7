import { createInputChecks } from '../shared/catalogue/input-check.ts'

/** One for all catalogues of the process, because they compile the same schemas. */
export const inputChecks = createInputChecks()
