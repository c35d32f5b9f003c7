import ipaddr from 'ipaddr.js'
import { remembered } from '../values/remembered.ts'

/** Proxies whose forwarding headers are trusted (`TRUST_PROXY`). */

/** Requests of one connection, and of one proxy, come from the same address. */
const KEPT_ADDRESSES = 1000

const LOOPBACK = ['127.0.0.0/8', '::1/128']

type Range = [address: ipaddr.IPv4 | ipaddr.IPv6, bits: number]

/** Parses an address or a CIDR as a range; null: neither, or a range of all addresses, which would trust every client. */
function rangeOf(text: string): Range | null {
  // ipaddr.js also accepts short and octal forms, such as `1` or `010.0.0.1`, which are mistakes here.
  if (!/^(?:\d+(?:\.\d+){3}|[0-9a-f:]*:[0-9a-f:.]*)(?:\/\d+)?$/i.test(text)) return null
  const cidr = text.includes('/') ? text : `${text}/${text.includes(':') ? 128 : 32}`
  if (!ipaddr.isValidCIDR(cidr)) return null
  const [address, bits] = ipaddr.parseCIDR(cidr)
  if (bits === 0) return null
  if (!(address instanceof ipaddr.IPv6) || !address.isIPv4MappedAddress()) return [address, bits]
  return bits > 96 ? [address.toIPv4Address(), bits - 96] : null
}

/** Entries of a comma-separated list; null when one of them is neither an address, a CIDR nor `loopback`. */
export function readTrustedProxies(list: string): string[] | null {
  const entries = list.split(',').map((entry) => entry.trim().toLowerCase())
  return entries.every((entry) => entry === 'loopback' || rangeOf(entry) !== null) ? entries : null
}

/** Returns a test for addresses of trusted proxies. `entries` as `readTrustedProxies` returns them. */
export function trustedProxies(entries: readonly string[]): (address: string) => boolean {
  const ranges = entries
    .flatMap((entry) => (entry === 'loopback' ? LOOPBACK : [entry]))
    .map(rangeOf)
    .filter((range) => range !== null)
  return remembered(KEPT_ADDRESSES, (text) => {
    if (!ipaddr.isValid(text)) return false
    const address = ipaddr.process(text)
    return ranges.some(([from, bits]) => from.kind() === address.kind() && address.match(from, bits))
  })
}
