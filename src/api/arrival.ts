import ipaddr from 'ipaddr.js'

/** Origin of a request: its client address, and the name by which it addressed this service. */
export interface Arrival {
  /** IP address of the client: the nearest one that is no trusted proxy; '' when the connection is closed. */
  address: string
  /** Host and port as the client sent them; undefined without a `Host`. */
  host: string | undefined
  /** Whether the client uses https, according to a trusted proxy, its `Origin` or PUBLIC_URL. */
  secure: boolean
  /** Whether a trusted proxy forwarded the request, by its headers. */
  proxied: boolean
}

export interface ArrivalRules {
  trusts: (address: string) => boolean
  /** Origin of PUBLIC_URL; null without one. */
  publicOrigin: string | null
}

/** Relevant parts of an incoming request. Header names are lower case; repeated headers are joined by commas. */
export interface Incoming {
  /** Address of the peer. */
  peer: string
  encrypted: boolean
  headers: Record<string, string | undefined>
}

/**
 * Forwarding headers are only used when the peer is a trusted proxy, because any client can send them. The chain of
 * `X-Forwarded-For` is followed from its end, which the nearest proxy wrote, to the first address that is not
 * trusted. `Forwarded` (RFC 7239) and hosts or schemes of untrusted peers are ignored.
 */
export function readArrival({ peer, encrypted, headers }: Incoming, { trusts, publicOrigin }: ArrivalRules): Arrival {
  const trusted = trusts(peer)
  const forwarded = (name: string): string | undefined => (trusted ? headers[`x-forwarded-${name}`] : undefined)
  const first = (name: string): string | undefined => forwarded(name)?.split(',')[0]?.trim() || undefined
  const proto = first('proto')?.toLowerCase()
  const host = first('host') ?? headers.host
  return {
    address: clientAddress(peer, forwarded('for'), trusts),
    host,
    secure: encrypted || proto === 'https' || saysHttps(headers.origin, host, publicOrigin),
    proxied: proto !== undefined || first('host') !== undefined || first('for') !== undefined,
  }
}

function clientAddress(peer: string, chain: string | undefined, trusts: (address: string) => boolean): string {
  let known = peer
  for (const entry of chain?.split(',').toReversed() ?? []) {
    const address = withoutPort(entry.trim())
    // An invalid address ends the chain; the last valid one counts.
    if (address === null) break
    known = address
    if (!trusts(address)) break
  }
  return known
}

/** Removes the port that some proxies append: `192.0.2.7:4711`, `[2001:db8::1]:4711`. */
function withoutPort(text: string): string | null {
  const bare = /^\[([^\]]+)\](?::\d+)?$/.exec(text)?.[1] ?? /^([\d.]+):\d+$/.exec(text)?.[1] ?? text
  return ipaddr.isValid(bare) ? bare : null
}

/** Scheme by the `Origin`, which browsers send with every request that sets a cookie; without one, by PUBLIC_URL for its host. */
function saysHttps(origin: string | undefined, host: string | undefined, publicOrigin: string | null): boolean {
  if (origin !== undefined && URL.canParse(origin)) return new URL(origin).protocol === 'https:'
  return host !== undefined && publicOrigin === `https://${host}`
}
