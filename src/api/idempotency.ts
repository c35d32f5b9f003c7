import { canonicalJson } from '../shared/values/canonical-json.ts'
import { ServiceError } from '../shared/errors/service-error.ts'
import type { Inputs } from '../shared/inputs/inputs.ts'
import { hasText, isReference, mapTexts } from '../shared/inputs/rules/reference.ts'
import { idempotencyEntry, shortDigest } from '../shared/jobs/record/job-keys.ts'
import { isObject } from '../shared/values/json.ts'
import type { OwnedRequest } from './http.ts'

/** Route and body that an idempotency key identifies. */
export interface IdempotencyScope {
  route: string
  body: unknown
}

export interface Idempotency {
  /** Name of the entry. */
  entry: string
  /** Digest of the canonical body. */
  body: string
}

const digest = (body: unknown): string => shortDigest(canonicalJson(body))

export function idempotencyKey({ headers }: Pick<OwnedRequest, 'headers'>): string | null {
  const key = headers['idempotency-key']
  if (key === undefined) return null
  if (!/^[\x20-\x7e]{1,255}$/.test(key))
    throw new ServiceError(
      'invalid_idempotency_key',
      'Idempotency-Key is not valid. Use 1 to 255 printable ASCII characters.',
    )
  return key
}

/** What is known of a request with a key: `replayed` when it has this body. */
type Known = (idempotency: Idempotency) => Promise<{ kind: string } | null>

/**
 * What identifies a request that may be repeated; null without a key. An upload counts by its type and bytes, as a data URI
 * does: a client that uploads the file again repeats the same request.
 */
export type IdempotencyOf = (
  request: OwnedRequest,
  scope: IdempotencyScope,
  known: Known,
) => Promise<Idempotency | null>

export function createIdempotencyOf({ contentsOf }: Pick<Inputs, 'contentsOf'>): IdempotencyOf {
  return async (request, { route, body }, known) => {
    const key = idempotencyKey(request)
    if (key === null) return null
    const { tenant } = request.principal
    const entry = idempotencyEntry(tenant, route, key)
    const asSent = { entry, body: digest(body) }
    if (!isObject(body) || !hasText(body, isReference)) return asSent
    // Remembered by a release that compared links.
    if ((await known(asSent))?.kind === 'replayed') return asSent
    const contents = await contentsOf(tenant, body)
    return { entry, body: digest(mapTexts(body, (text) => contents.get(text) ?? text)) }
  }
}
