import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

/** A URL of an output leads to an address that is not public. */
export class ForbiddenAddressError extends Error {
  override name = 'ForbiddenAddressError'
}

/** Routable addresses of cloud internals: Azure's wire server. */
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
 * Resolves a host to the address to connect to. Every address of the name must be public. The caller connects to the
 * checked address, so that a second look-up cannot change it (DNS rebinding).
 */
export async function resolvePublicAddress(host: string): Promise<string> {
  const bare = host.replace(/^\[|\]$/g, '')
  const addresses = isIP(bare) ? [bare] : (await lookup(bare, { all: true })).map(({ address }) => address)
  const [first] = addresses
  if (first === undefined || !addresses.every(isPublicAddress))
    throw new ForbiddenAddressError(`${host} is not a public address`)
  return first
}
