import type { JobKeys } from '../../jobs/record/job-keys.ts'
import type { StoredAmount } from '../../limits/rules/stored.ts'
import type { Command } from './finding.ts'

export const inWords = ({ bytes, files }: StoredAmount): string => `${bytes} bytes in ${files} files`

/** Commands that correct the count of a tenant by a difference, which stays correct while others change the count. */
export function correctStored(keys: JobKeys, tenant: string, from: StoredAmount, to: StoredAmount): Command[] {
  return [
    ['hincrby', keys.stored, `${tenant}.bytes`, String(to.bytes - from.bytes)],
    ['hincrby', keys.stored, `${tenant}.files`, String(to.files - from.files)],
    ['hincrby', keys.stored, `${tenant}.changes`, '1'],
  ]
}

/** A finding about one record whose files are counted with another amount, or not at all. */
export const countsOtherwise = (counted: StoredAmount, amount: StoredAmount): string =>
  `${inWords(amount)} are counted as ${inWords(counted)}`
