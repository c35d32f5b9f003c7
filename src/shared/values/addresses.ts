import ipaddr from 'ipaddr.js'

/** Arithmetic of IP addresses: ranges, and what a connection to an address reaches. */

/** A CIDR. Ranges of mapped addresses (`::ffff:10.0.0.0/104`) are those of IPv4. */
export type AddressRange = [address: ipaddr.IPv4 | ipaddr.IPv6, bits: number]

/** Parses an address or a CIDR as a range; null: neither, or a range of all addresses. */
export function rangeOf(text: string): AddressRange | null {
  // ipaddr.js also accepts short and octal forms, such as `1` or `010.0.0.1`, which are mistakes here.
  if (!/^(?:\d+(?:\.\d+){3}|[0-9a-f:]*:[0-9a-f:.]*)(?:\/\d+)?$/i.test(text)) return null
  const cidr = text.includes('/') ? text : `${text}/${text.includes(':') ? 128 : 32}`
  if (!ipaddr.isValidCIDR(cidr)) return null
  const [address, bits] = ipaddr.parseCIDR(cidr)
  if (bits === 0) return null
  if (!(address instanceof ipaddr.IPv6) || !address.isIPv4MappedAddress()) return [address, bits]
  return bits > 96 ? [address.toIPv4Address(), bits - 96] : null
}

/** Whether one of the ranges contains an address; a mapped one counts as that of IPv4. */
export function isWithin(text: string, ranges: readonly AddressRange[]): boolean {
  if (!ipaddr.isValid(text)) return false
  const address = ipaddr.process(text)
  return ranges.some(([from, bits]) => from.kind() === address.kind() && address.match(from, bits))
}

/**
 * `public`: on the internet; `private`: of this machine, a private network, or a range for special use; `never`: no service of
 * anybody is there, or one that hands out credentials of the machine: link-local, multicast, unspecified, metadata.
 */
export type AddressClass = 'public' | 'private' | 'never'

/** Services of clouds that give credentials or configuration to any program of the machine, outside of link-local ranges. */
const METADATA = [
  '100.100.100.200', // Alibaba
  '168.63.129.16', // Azure's wire server
  '192.0.0.192', // Oracle
  'fd00:ec2::254', // AWS
  'fd20:ce::254', // Google
  'fd00:42::42', // Scaleway
]
  .map(rangeOf)
  .filter((range) => range !== null)
const NEVER: ReadonlySet<string> = new Set(['unspecified', 'broadcast', 'linkLocal', 'multicast'])

/** What an address reaches; null: it is no address. */
export function addressClass(text: string): AddressClass | null {
  if (!ipaddr.isValid(text)) return null
  const address = ipaddr.process(text)
  const range = address.range()
  if (NEVER.has(range) || isWithin(address.toString(), METADATA)) return 'never'
  if (address instanceof ipaddr.IPv4) return range === 'unicast' ? 'public' : 'private'
  const [first = 0, second = 0] = address.parts
  const inside = addressesInside(address)
  if (inside.length > 0) return inside.some((one) => addressClass(one) === 'never') ? 'never' : 'private'
  // Global unicast is 2000::/3; Teredo (2001::/32) and 6to4 are in it.
  return range === 'unicast' && (first & 0xe000) === 0x2000 && !(first === 0x2001 && second === 0)
    ? 'public'
    : 'private'
}

/** IPv4 addresses that an IPv6 address leads to: compatible, NAT64, 6to4, Teredo (server and client). */
function addressesInside({ parts }: ipaddr.IPv6): string[] {
  const at = (index: number, mask = 0): string => {
    const [high = 0, low = 0] = parts.slice(index, index + 2).map((part) => part ^ mask)
    return [high >> 8, high & 255, low >> 8, low & 255].join('.')
  }
  const isZero = (from: number, to: number): boolean => parts.slice(from, to).every((part) => part === 0)
  const [first = 0, second = 0] = parts
  // `::1` is no IPv4 address.
  if (isZero(0, 6)) return isZero(6, 7) ? [] : [at(6)]
  // ::ffff:0:0:0/96, translated
  if (isZero(0, 4) && parts[4] === 0xffff && parts[5] === 0) return [at(6)]
  if (first === 0x64 && second === 0xff9b) return [at(6)]
  if (first === 0x2002) return [at(1)]
  if (first === 0x2001 && second === 0) return [at(2), at(6, 0xffff)]
  return []
}

/** Names of metadata services, which resolve to their addresses inside of a cloud. */
const METADATA_NAMES: ReadonlySet<string> = new Set([
  'metadata',
  'metadata.google.internal',
  'metadata.goog',
  'instance-data',
  'instance-data.ec2.internal',
  'metadata.azure.internal',
  'metadata.packet.net',
  'metadata.platformequinix.com',
  'metadata.tencentyun.com',
  'rancher-metadata',
])

/** A host as WHATWG URLs have it, without brackets and the dot at the end. */
export const bareHost = (host: string): string => host.replace(/^\[|\]$/g, '').replace(/\.$/, '')

export const isMetadataName = (host: string): boolean => METADATA_NAMES.has(bareHost(host).toLowerCase())
