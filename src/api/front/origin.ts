import { ServiceError } from '../../shared/errors/service-error.ts'
import type { ApiRequest } from '../http.ts'

/** A name or an address, and a port. Other characters could lead elsewhere in a link, or end a text of a relayed response. */
const HOST = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/

/** The origin by which the client addressed this service, behind a trusted proxy too. Throws `invalid_header`. */
export function originOf({ secure, host }: Pick<ApiRequest, 'secure' | 'host'>): string {
  const name = host || 'localhost'
  if (!HOST.test(name))
    throw new ServiceError('invalid_header', 'The Host header is not a host name with or without a port.')
  return `${secure ? 'https' : 'http'}://${name}`
}
