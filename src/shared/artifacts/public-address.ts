import { lookup as lookUp } from 'node:dns/promises'
import { isIP } from 'node:net'
import { addressClass, bareHost } from '../values/addresses.ts'

/** A URL leads to an address that is not allowed for it. */
export class ForbiddenAddressError extends Error {
  override name = 'ForbiddenAddressError'
}

/** The addresses of a name. */
export type Lookup = (name: string) => Promise<string[]>

const systemLookup: Lookup = async (name) => (await lookUp(name, { all: true })).map(({ address }) => address)

/** Whether an address is on the public internet: unicast, and for IPv6 in 2000::/3. */
export const isPublicAddress = (address: string): boolean => addressClass(address) === 'public'

/**
 * Resolves a host to the address to connect to. Every address of the name must be allowed; by default the public ones are. The
 * caller connects to the checked address, so that a second look-up cannot change it (DNS rebinding).
 */
export async function resolvePublicAddress(
  host: string,
  isAllowed: (address: string) => boolean = isPublicAddress,
  addressesOf: Lookup = systemLookup,
): Promise<string> {
  const bare = bareHost(host)
  const addresses = isIP(bare) ? [bare] : await addressesOf(bare)
  const [first] = addresses
  if (first === undefined || !addresses.every(isAllowed))
    throw new ForbiddenAddressError(`${host} is not a public address`)
  return first
}
