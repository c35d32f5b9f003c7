import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

/** An output asked us to go where outputs are not. */
export class ForbiddenAddressError extends Error {
  override name = 'ForbiddenAddressError'
}

/** Routable addresses that reach a cloud's inside: Azure's wire server. */
const DENIED = new Set(['168.63.129.16'])

/** Whether an address is on the public internet: unicast, and for IPv6 in 2000::/3. */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address)) return false
  const parsed = ipaddr.process(address)
  if (parsed.range() !== 'unicast') return false
  if (parsed.kind() === 'ipv6') return ((parsed.toByteArray()[0] ?? 0) & 0xe0) === 0x20
  return !DENIED.has(parsed.toString())
}

/**
 * The address to connect to for a host, checked: every address that the name resolves to must be public, and the
 * checked one is the one to use, so that a second look-up cannot change it.
 */
export async function resolvePublicAddress(host: string): Promise<string> {
  const bare = host.replace(/^\[|\]$/g, '')
  const addresses = isIP(bare) ? [bare] : (await lookup(bare, { all: true })).map(({ address }) => address)
  const [first] = addresses
  if (first === undefined || !addresses.every(isPublicAddress))
    throw new ForbiddenAddressError(`${host} is not a public address`)
  return first
}
