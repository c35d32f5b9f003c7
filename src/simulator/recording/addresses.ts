import type { SimulatorRequest } from '../http/router.ts'
import { isReplicateHost, REPLICATE_API } from '../replicate-hosts.ts'
import { ORIGIN_HEADER } from '../redirecting-fetch.ts'

/**
 * The addresses of a recorder: Replicate's API has the recorder's own paths, every other host of Replicate stands below
 * `/_host/<name>/`. A redirected client keeps Replicate's addresses.
 */
export interface Addresses {
  /** Where a request goes; null: to no host of Replicate. */
  targetOf(request: SimulatorRequest): URL | null
  /** What a client sends, with Replicate's addresses in place of ours. */
  toUpstream(text: string, request: SimulatorRequest): string
  /** What Replicate sends, with our addresses in place of Replicate's. */
  toLocal(text: string, request: SimulatorRequest): string
}

const OTHER_HOST = /^\/_host\/([^/]+)(\/.*)$/
const OTHER_ADDRESS = /https:\/\/((?:stream[\w-]*\.replicate\.com|(?:[\w-]+\.)*replicate\.delivery))(?=[/"\\?\s])/g

/** @param upstream the origin of the API, such as https://api.replicate.com */
export function createAddresses(upstream: string): Addresses {
  const isRedirected = ({ headers }: SimulatorRequest): boolean => headers[ORIGIN_HEADER] !== undefined
  return {
    targetOf({ path, query, headers }) {
      const search = query.size === 0 ? '' : `?${query.toString()}`
      const [, host, rest = ''] = OTHER_HOST.exec(path) ?? []
      if (host !== undefined) return replicatesOwn(`https://${host}${rest}${search}`)
      const believed = headers[ORIGIN_HEADER]
      if (typeof believed === 'string' && upstream === REPLICATE_API)
        return replicatesOwn(`${believed}${path}${search}`)
      return new URL(`${upstream}${path}${search}`)
    },
    toUpstream(text, { origin }) {
      const own = text.replaceAll(`${origin}/_host/`, 'https://')
      return own.replaceAll(origin, upstream)
    },
    toLocal(text, request) {
      if (isRedirected(request)) return text.replaceAll(upstream, REPLICATE_API)
      return text
        .replace(OTHER_ADDRESS, (_, host: string) => `${request.origin}/_host/${host}`)
        .replaceAll(upstream, request.origin)
    },
  }
}

/** A recorder is no proxy to anywhere. */
function replicatesOwn(address: string): URL | null {
  const url = URL.parse(address)
  return url?.protocol === 'https:' && isReplicateHost(url.host) ? url : null
}

/** Whether a body is text in which addresses stand. */
export const isText = (contentType: string): boolean => /^(?:application\/(?:[\w.-]+\+)?json|text\/)/i.test(contentType)
