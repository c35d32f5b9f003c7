import { z } from 'zod'
import { ServiceError } from '../../shared/errors/service-error.ts'
import { UPLOAD_ID } from '../../shared/inputs/rules/reference.ts'
import { JOB_ID } from '../../shared/jobs/rules/ids.ts'

/** ms, up to the year 9999. */
const time = z.int().min(-253_402_300_799_999).max(253_402_300_799_999)
const id = z.union([z.string().regex(JOB_ID), z.string().regex(UPLOAD_ID)])

/** Where a page of predictions or files begins, with the times that the list was asked for. */
const cursorSchema = z.strictObject({
  /** Only older ones than this, or only newer ones. */
  older: id.optional(),
  newer: id.optional(),
  after: time.optional(),
  before: time.optional(),
})
export type PageCursor = z.output<typeof cursorSchema>

/**
 * The links of a page, whose rows are newest first. `list`: the URL of the whole list. `next`: the id after which the list
 * continues in the direction in which the page was read; null: there are no more.
 */
export function linksOf(
  list: string,
  { older, newer, ...times }: PageCursor,
  shown: readonly { id: string }[],
  next: string | null,
): { next: string | null; previous: string | null } {
  const [first, last] = [shown[0], shown.at(-1)]
  const to = (cursor: PageCursor): string => `${list}?cursor=${cursorText({ ...times, ...cursor })}`
  if (newer === undefined)
    return {
      next: next === null ? null : to({ older: next }),
      previous: older !== undefined && first ? to({ newer: first.id }) : null,
    }
  return { next: last ? to({ older: last.id }) : null, previous: next === null ? null : to({ newer: next }) }
}

const cursorText = (cursor: PageCursor): string => Buffer.from(JSON.stringify(cursor)).toString('base64url')

export function readCursor(text: string): PageCursor {
  try {
    return cursorSchema.parse(JSON.parse(Buffer.from(text, 'base64url').toString()))
  } catch (error) {
    throw new ServiceError('not_found', 'Invalid cursor', { cause: error })
  }
}
