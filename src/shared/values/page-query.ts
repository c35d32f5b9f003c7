import { z } from 'zod'

/** Query of a list in pages. `cursor`: form of its cursors; `what`: what it lists, in the plural. */
export const pageQuery = (cursor: RegExp, what: string) =>
  z.strictObject({
    limit: z.coerce.number().int().min(1).max(100).default(20).describe(`Maximum number of ${what} in a page.`),
    cursor: z
      .string()
      .regex(cursor, { error: 'Expected the next_cursor of an earlier page.' })
      .optional()
      .describe('The `next_cursor` of the previous page.'),
  })
