import { invalidInput } from '../http/problem.ts'
import { json, type Reply } from '../http/reply.ts'
import type { SimulatorRequest } from '../http/router.ts'

/** Lists of the API: pages with addresses of the next and the previous one. */

interface Listing<Row> {
  request: SimulatorRequest
  /** Rows of a page. Default 100. */
  size?: number
  /** All rows that a query selects, in order, or what is wrong with it. */
  rows: (query: URLSearchParams) => readonly Row[] | Reply
  idOf: (row: Row) => string
  show: (row: Row) => unknown
}

/** A cursor holds the whole query, so an address of a page has no other parameter. */
interface Cursor {
  query: string
  /** The row that the page ends before, or begins after. */
  id: string
  back: boolean
}

const SIZE = 100

export async function pageOf<Row>({ request, size = SIZE, rows, idOf, show }: Listing<Row>): Promise<Reply> {
  const given = request.query.get('cursor')
  const cursor = given === null ? null : decode(given)
  if (given !== null && cursor === null) return wrongParameter('cursor', 'Invalid cursor')
  const query = cursor === null ? request.query : new URLSearchParams(cursor.query)
  const all = rows(query)
  if ('kind' in all) return all
  const [from, to] = boundsOf(all.map(idOf), cursor, size)
  const page = all.slice(from, to)
  const addressOf = (row: Row | undefined, back: boolean) =>
    row === undefined
      ? null
      : `${request.origin}${request.path}?cursor=${encode({ query: query.toString(), id: idOf(row), back })}`
  return json(200, {
    next: to < all.length ? addressOf(page.at(-1), false) : null,
    previous: from > 0 ? addressOf(page[0], true) : null,
    results: await Promise.all(page.map(show)),
  })
}

/** The page after or before the cursor's row; nothing when that row is gone. */
function boundsOf(ids: readonly string[], cursor: Cursor | null, size: number): [number, number] {
  if (cursor === null) return [0, size]
  const at = ids.indexOf(cursor.id)
  if (at === -1) return [ids.length, ids.length]
  return cursor.back ? [Math.max(0, at - size), at] : [at + 1, at + 1 + size]
}

export const wrongParameter = (field: string, description: string) =>
  invalidInput([{ type: 'format', field, description }])

const encode = ({ query, id, back }: Cursor) => Buffer.from(JSON.stringify([query, id, back])).toString('base64url')

function decode(cursor: string): Cursor | null {
  try {
    const parts: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    if (!Array.isArray(parts)) return null
    const [query, id, back]: unknown[] = parts
    return typeof query === 'string' && typeof id === 'string' && typeof back === 'boolean' ? { query, id, back } : null
  } catch {
    return null
  }
}
