import { isWithin, rangeOf } from '../values/addresses.ts'
import { remembered } from '../values/remembered.ts'

/** Proxies whose forwarding headers are trusted (`TRUST_PROXY`). */

/** Requests of one connection, and of one proxy, come from the same address. */
const KEPT_ADDRESSES = 1000

const LOOPBACK = ['127.0.0.0/8', '::1/128']

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
  return remembered(KEPT_ADDRESSES, (text) => isWithin(text, ranges))
}
