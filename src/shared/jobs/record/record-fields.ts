import { JOB_FIELDS, type Field, type JobDocument, type Place } from '../rules/job.ts'

/** Which fields of a record are written, and where (the table of fields is in rules/job.ts). */

export type Fields = Readonly<Record<string, Field>>
const fieldOf = (fields: Fields, name: string): Field | undefined =>
  Object.hasOwn(fields, name) ? fields[name] : undefined

const PLACES = new Map<string, Place>(Object.entries(JOB_FIELDS).map(([name, field]) => [name, field.in]))
export const placeOf = (field: string): Place | undefined => PLACES.get(field)

/** Whether the value equals that of an absent field. */
function isAbsent(value: unknown, absent: unknown): boolean {
  if (value === absent) return absent !== undefined
  return typeof absent === 'object' && absent !== null && JSON.stringify(value) === JSON.stringify(absent)
}

/** The fields of a new record, or of one of its documents, that have to be written. */
export const present = (fields: Fields, record: object): [name: string, value: unknown][] =>
  Object.entries(record).filter(([name, value]) => {
    const field = fieldOf(fields, name)
    return field !== undefined && !isAbsent(value, field.absent)
  })

/** The fields of each document. */
const fieldsIn = (document: JobDocument): Fields =>
  Object.fromEntries(Object.entries<Field>(JOB_FIELDS).filter(([, field]) => field.in === document))
export const DOCUMENT_FIELDS: Readonly<Record<JobDocument, Fields>> = {
  order: fieldsIn('order'),
  result: fieldsIn('result'),
}
