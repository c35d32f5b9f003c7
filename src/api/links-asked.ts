import { ServiceError } from '../shared/errors.ts'
import type { Principal } from './auth.ts'

/** Links that hold an hour, or as long as their file is there. */
export type LinkKind = 'hourly' | 'lasting'

/**
 * The links that a reader gets. Throws `forbidden` for a job token that asks for lasting ones: it ends, and what it opens
 * must not outlive it.
 */
export function linksFor({ only }: Principal, asked: LinkKind): LinkKind {
  if (asked === 'lasting' && only !== null)
    throw new ServiceError('forbidden', 'A job token reads hourly links only. Ask for lasting links with an API key.')
  return asked
}
