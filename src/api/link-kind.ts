import { ServiceError } from '../shared/errors/service-error.ts'
import type { Principal } from './principal.ts'

/** Links that are valid for an hour, or as long as their file exists. */
export type LinkKind = 'hourly' | 'lasting'

/**
 * Kind of links for a reader. Throws `forbidden` for a job token that requests lasting ones: the token expires, and its
 * access must not outlive it.
 */
export function linksFor({ only }: Principal, requested: LinkKind): LinkKind {
  if (requested === 'lasting' && only !== null)
    throw new ServiceError('forbidden', 'A job token can only get hourly links. Request lasting links with an API key.')
  return requested
}
