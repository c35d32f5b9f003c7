import { failed, ok, skipped, warning, type Details, type Finding } from './check.ts'
import { PROBE_PAUSE_MS, type Arrival, type ProbeReply, type SentProbe } from './probe.ts'

/** What the answers to probes mean, and what to do. Every sentence is for an operator. */

type Answered = Extract<ProbeReply, { kind: 'answered' }>

/** A clock that is off by more than this is a warning, ms; more than five minutes invalidate signatures. */
const SKEW_MS = 30_000
/** A slower answer is a warning, ms. */
const SLOW_MS = 5_000
const RECEIVER = 'POST /webhooks/replicate'

/** Failures without a response, by the code of Node or undici. */
const UNREACHED: Record<string, (host: string) => [seen: string, todo: string]> = {
  ENOTFOUND: (host) => [
    `The name ${host} does not resolve (DNS).`,
    'Correct PUBLIC_URL, or the DNS record. A restarted tunnel has a new name: set PUBLIC_URL to it and restart workers and apis.',
  ],
  EAI_AGAIN: (host) => [
    `The name ${host} could not be resolved: the DNS server of this machine does not respond.`,
    'Check name resolution on the machines of the workers, and the DNS record of PUBLIC_URL.',
  ],
  ECONNREFUSED: (host) => [
    `${host} refuses connections: nothing listens at this address and port.`,
    'Start the proxy or the tunnel, and check host and port of PUBLIC_URL.',
  ],
  ECONNRESET: (host) => [
    `${host} closed the connection without a response.`,
    'Check the log of the proxy. http sent to a TLS port, or a firewall, looks like this too.',
  ],
  TIMEOUT: (host) => [
    `${host} accepted the connection and did not respond in time.`,
    'Check that the proxy reaches the api, and that the api is running. Replicate gives up after a few seconds.',
  ],
  CONNECT_TIMEOUT: (host) => [
    `${host} cannot be reached: connecting took too long.`,
    'Open the port in the firewall, and check that the DNS record names the right machine.',
  ],
  CERT_HAS_EXPIRED: (host) => [`The TLS certificate of ${host} has expired.`, 'Renew the certificate.'],
  CERT_NOT_YET_VALID: (host) => [
    `The TLS certificate of ${host} is not valid yet.`,
    'Check the certificate, and the clock of this machine.',
  ],
  ERR_TLS_CERT_ALTNAME_INVALID: (host) => [
    `The TLS certificate is for another name than ${host}.`,
    'Get a certificate for the name in PUBLIC_URL, or use the name of the certificate in PUBLIC_URL.',
  ],
  SELF_SIGNED: (host) => [
    `The TLS certificate of ${host} is not signed by a public authority.`,
    'Use a certificate of a public authority, such as one from an ACME client: Replicate trusts no other.',
  ],
  UNKNOWN_ISSUER: (host) => [
    `The TLS certificate of ${host} cannot be verified: an intermediate certificate is missing, or its authority is unknown.`,
    'Send the full chain (in nginx: ssl_certificate with fullchain.pem), from a public authority.',
  ],
  TLS: (host) => [
    `No TLS connection to ${host} is possible.`,
    'Check that PUBLIC_URL has the right scheme and port: https needs a port with TLS, and Replicate takes only https.',
  ],
}

const SAME: Record<string, string> = {
  EPIPE: 'ECONNRESET',
  UND_ERR_SOCKET: 'ECONNRESET',
  UND_ERR_HEADERS_TIMEOUT: 'TIMEOUT',
  UND_ERR_BODY_TIMEOUT: 'TIMEOUT',
  ETIMEDOUT: 'CONNECT_TIMEOUT',
  UND_ERR_CONNECT_TIMEOUT: 'CONNECT_TIMEOUT',
  EHOSTUNREACH: 'CONNECT_TIMEOUT',
  ENETUNREACH: 'CONNECT_TIMEOUT',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'SELF_SIGNED',
  SELF_SIGNED_CERT_IN_CHAIN: 'SELF_SIGNED',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'UNKNOWN_ISSUER',
  UNABLE_TO_GET_ISSUER_CERT: 'UNKNOWN_ISSUER',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'UNKNOWN_ISSUER',
  EPROTO: 'TLS',
}

function unreached(sent: SentProbe, { code, message }: Extract<ProbeReply, { kind: 'none' }>): [string, string] {
  const { host } = new URL(sent.url)
  const known = UNREACHED[SAME[code] ?? code] ?? (code.startsWith('ERR_SSL') ? UNREACHED['TLS'] : undefined)
  return (
    known?.(host) ?? [
      `The request to ${host} failed: ${message}.`,
      'Check the proxy in front of the api, and the network of the workers.',
    ]
  )
}

/** Tunnels that say in their own words that nothing is connected to them. */
const TUNNEL_GONE =
  /ERR_NGROK|ngrok|localtunnel|loca\.lt|trycloudflare|cloudflare tunnel|tunnel (?:.{0,40})(?:not found|unavailable|offline)|error code: 1033/i
/** Code of a problem document of this service. */
const codeOf = (text: string): string | null => /"code":"([a-z_]+)"/.exec(text)?.[1] ?? null

const byWhom = ({ server }: Answered): string => (server === '' ? '' : ` (${server})`)

function redirected(sent: SentProbe, answer: Answered): [string, string] {
  const from = new URL(sent.url)
  const { status, location } = answer
  const to = location !== null && URL.canParse(location, from.href) ? new URL(location, from) : null
  const seen = `${from.host} redirects (${status}) to ${to === null ? 'another address' : to.origin + to.pathname}. Replicate does not follow redirects, so no webhook arrives.`
  if (to === null) return [seen, `Let ${RECEIVER} through without a redirect.`]
  if (to.pathname === from.pathname) return [seen, `Set PUBLIC_URL=${to.origin} and restart workers and apis.`]
  if (to.pathname === `${from.pathname}/`)
    return [seen, `The proxy appends a slash. Turn that off, at least for ${RECEIVER}.`]
  return [
    seen,
    `A login page or a gateway stands before the api. Let ${RECEIVER} through without a login: webhooks are authenticated by their signature.`,
  ]
}

/** Responses that are not those of a receiver. */
function foreign(sent: SentProbe, answer: Answered): [string, string] {
  const { status, text } = answer
  const { host } = new URL(sent.url)
  const own = codeOf(text)
  const who = byWhom(answer)
  if (status >= 300 && status < 400) return redirected(sent, answer)
  if (TUNNEL_GONE.test(`${text} ${answer.server}`) && status >= 400)
    return [
      `${status}${who}: the tunnel at ${host} is gone, or nothing is connected to it.`,
      'Start the tunnel. A restarted tunnel has a new name: set PUBLIC_URL to it and restart workers and apis. Jobs of before finish by polling.',
    ]
  if (status === 404 && own === 'not_found')
    return [
      `404: a genqueue listens at ${host}, but not its api. The listener of a worker (HEALTH_PORT) has no receiver.`,
      'Point the proxy to the PORT of the api.',
    ]
  if (status === 404)
    return [
      `404${who}: nothing has the path /webhooks/replicate at ${host}.`,
      'Pass this path on to the api unchanged. The name of a tunnel that ended responds like this too: compare PUBLIC_URL with the name that the tunnel shows.',
    ]
  if (status === 401 && own === 'invalid_signature')
    return [
      `401: a genqueue listens at ${host}, but does not know the token of this deployment.`,
      'The proxy drops the query string, or leads to another deployment: pass the URL on unchanged, and use the same REDIS_URL and KEY_PREFIX for api and workers. An api of an older release knows no probes.',
    ]
  if (status === 401 || status === 403)
    return [
      `${status}${who}: the proxy asks for credentials, or a firewall refuses the request.`,
      `Let ${RECEIVER} through without credentials and for all addresses: webhooks are authenticated by their signature.`,
    ]
  if (status === 405)
    return [`405${who}: POST is not allowed at this path.`, `Let ${RECEIVER} through to the api, with its method.`]
  if (status === 411)
    return [`411${who}: the proxy wants a Content-Length.`, 'Accept bodies without one, or in chunks.']
  if (status === 413) return tooLarge(answer, sent)
  if (status === 429)
    return own === 'too_many_attempts'
      ? [
          '429: the api has refused too many webhooks of this address within a minute.',
          'Something sends webhooks with wrong signatures. The log says `webhook refused` with the reason. Set TRUST_PROXY, so that clients have their own addresses.',
        ]
      : [`429${who}: a rate limit of the proxy.`, `Exempt ${RECEIVER} from the rate limit.`]
  if (own === 'unavailable' || own === 'deployment_lost')
    return [`${status}: the api cannot use Redis.`, 'Compare REDIS_URL of the api with that of the workers.']
  if (own === 'capacity' || own === 'too_many_bodies')
    return [`${status}: the api has no room for the body.`, 'Run the doctor again. If it lasts, start more apis.']
  if (own !== null) return [`${status}: the api refused the probe with \`${own}\`.`, 'Read the log of the api.']
  if (status >= 500)
    return [
      `${status}${who}: the proxy at ${host} does not reach the api.`,
      'Start the api, and check the address in the proxy (HOST, PORT). A stopped tunnel client looks like this too.',
    ]
  return [
    `${status}${who}: something else than genqueue responds at ${host}.`,
    'Check that PUBLIC_URL is the address of this service, that the proxy leads to its api, and that no page stands between, such as the warning page of a free tunnel.',
  ]
}

const tooLarge = (answer: Answered, { bytes }: SentProbe): [string, string] => [
  `413${byWhom(answer)}: a body of ${sizeOf(bytes)} is refused. Webhooks contain the input, the output and the logs, and can have several megabytes.`,
  'Raise the limit of the proxy to 8 MB or more (in nginx: client_max_body_size 100m). Without it such jobs finish by polling.',
]

const sizeOf = (bytes: number): string => (bytes >= 1_000_000 ? `${Math.round(bytes / 1e5) / 10} MB` : `${bytes} bytes`)

/** What is wrong with what arrived; null: nothing. */
function altered(sent: SentProbe, arrived: Arrival): [seen: string, todo: string] | null {
  if (arrived.probe !== sent.probe)
    return [
      'The response belongs to another request.',
      `A cache stands before the api. Exempt ${RECEIVER} from caching.`,
    ]
  if (arrived.sha256 !== sent.sha256)
    return [
      `The body was changed on the way: ${sent.bytes} bytes were sent, ${arrived.bytes} arrived${arrived.bytes === sent.bytes ? ' with other contents' : ''}. The signature of a webhook then fails.`,
      'Pass bodies on byte for byte: no rewriting, no parsing, no re-encoding of JSON, in the proxy, in its modules, and in functions in front of the api.',
    ]
  if (arrived.signature === 'missing')
    return [
      'The headers webhook-id, webhook-timestamp and webhook-signature did not arrive.',
      'Pass all headers on. Gateways often have a list of allowed headers.',
    ]
  if (arrived.signature === 'no_secret')
    return [
      'The api has no signing secret, so it can verify no webhook.',
      'Set REPLICATE_API_TOKEN of the api to the token of the account, so that it fetches the secret, or set REPLICATE_WEBHOOK_SECRET.',
    ]
  if (!sent.signed) return null
  if (arrived.signature === 'wrong')
    return [
      'The body arrived unchanged, but the api has another signing secret than the account.',
      'Unset REPLICATE_WEBHOOK_SECRET of the api, so that it is fetched, or set it to the secret of this account. Use the same token for api and workers.',
    ]
  if (arrived.signature === 'old')
    return [
      `The clock of the api is off: ${skewOf(sent, arrived)}. From five minutes on every signature counts as too old.`,
      'Synchronize the clock of the machine of the api (NTP).',
    ]
  return null
}

const skew = ({ at }: SentProbe, arrived: Arrival): number => Date.parse(arrived.at) - at
function skewOf(sent: SentProbe, arrived: Arrival): string {
  const seconds = Math.round(skew(sent, arrived) / 1000)
  return `${Math.abs(seconds)} s ${seconds > 0 ? 'ahead of' : 'behind'} that of the sender`
}

function detailsOf(sent: SentProbe, reply: ProbeReply): Details {
  const { origin, pathname } = new URL(sent.url)
  const base = { url: origin + pathname, bytes: sent.bytes, ms: Math.round(reply.ms) }
  if (reply.kind === 'none') return { ...base, error: reply.code }
  const { status, server, location, arrival } = reply
  return {
    ...base,
    status,
    ...(server === '' ? {} : { server }),
    // Its query has the token of the probe.
    ...(location === null ? {} : { location: location.replace(/[?#].*$/s, '') }),
    ...(arrival === null
      ? {}
      : {
          arrived_bytes: arrival.bytes,
          unchanged: arrival.sha256 === sent.sha256,
          signature: arrival.signature,
          arrived_at: arrival.at,
          generation: arrival.generation,
        }),
  }
}

/** The small probe: whether webhooks arrive, and as they were sent. */
export function judgeProbe(sent: SentProbe, reply: ProbeReply): Finding {
  const details = detailsOf(sent, reply)
  if (reply.kind === 'none') return failed(...unreached(sent, reply), details)
  const { arrival, ms } = reply
  if (arrival === null) return failed(...foreign(sent, reply), details)
  const wrong = altered(sent, arrival)
  if (wrong) return failed(...wrong, details)
  if (arrival.generation !== sent.generation)
    return failed(
      'The api sees another state of Redis than the workers.',
      'Use one Redis for api and workers, and one primary: check REDIS_URL of both, and the failover of Redis.',
      details,
    )
  if (Math.abs(skew(sent, arrival)) > SKEW_MS + ms)
    return warning(
      `A probe arrived, but the clock of the api is ${skewOf(sent, arrival)}.`,
      'Synchronize the clocks (NTP). From five minutes on every webhook is refused.',
      details,
    )
  if (!sent.signed)
    return warning(
      `A probe arrived unchanged after ${Math.round(ms)} ms, without a valid signature: the signing secret could not be fetched from Replicate.`,
      'Correct what the check `replicate` names, and run the doctor again.',
      details,
    )
  if (ms > SLOW_MS)
    return warning(
      `A signed probe arrived unchanged, but the response took ${Math.round(ms / 100) / 10} s.`,
      'Replicate gives up after a few seconds and repeats the webhook. Check the load of the proxy and of the api.',
      details,
    )
  return ok(
    `A signed probe arrived unchanged after ${Math.round(ms)} ms. It came from this network, so a firewall that blocks only strangers is not seen.`,
    details,
  )
}

/** A probe that no receiver can know, sent without Redis: what stands in the way shows all the same. */
export function judgeUnknownProbe(sent: SentProbe, reply: ProbeReply): Finding {
  if (reply.kind === 'answered' && reply.status === 401 && codeOf(reply.text) === 'invalid_signature')
    return skipped(
      'A webhook receiver of genqueue responds at this address. Whether it accepts the webhooks of this deployment cannot be checked without Redis.',
      'Correct what the check `redis` names, and run the doctor again.',
      detailsOf(sent, reply),
    )
  return judgeProbe(sent, reply)
}

/** The probe of one megabyte. */
export function judgeLargeProbe(sent: SentProbe, reply: ProbeReply): Finding {
  const details = detailsOf(sent, reply)
  if (reply.kind === 'none') {
    const [seen, todo] = unreached(sent, reply)
    return ['ECONNRESET', 'TIMEOUT'].includes(SAME[reply.code] ?? reply.code)
      ? failed(
          `A small body passes, one of ${sizeOf(sent.bytes)} does not: the connection was closed, or the response did not come.`,
          'Raise the limit of the proxy for bodies to 8 MB or more (in nginx: client_max_body_size 100m), and its timeout for reading them.',
          details,
        )
      : failed(seen, todo, details)
  }
  const { arrival } = reply
  if (arrival === null) return failed(...(reply.status === 413 ? tooLarge(reply, sent) : foreign(sent, reply)), details)
  const wrong = altered(sent, arrival)
  if (wrong) return failed(...wrong, details)
  return ok(`A body of ${sizeOf(sent.bytes)} arrived unchanged after ${Math.round(reply.ms)} ms.`, details)
}

/** Part of the pause that must be left between the two lines of the response. */
const LEFT = 1 / 4

export const looksBuffered = (reply: ProbeReply): boolean =>
  reply.kind === 'answered' && reply.arrival !== null && reply.gap < PROBE_PAUSE_MS * LEFT

/** Whether the two lines of a response arrived apart. `replies`: those of small probes; one suffices. */
export function judgeBuffering(replies: readonly ProbeReply[]): Finding {
  const answered = replies.flatMap((one) => (one.kind === 'answered' && one.arrival !== null ? [one] : []))
  const gap = Math.max(...answered.map((one) => one.gap))
  if (answered.length === 0) return skipped('No probe arrived.')
  const details = { pause_ms: PROBE_PAUSE_MS, gap_ms: Math.round(gap) }
  return answered.every(looksBuffered)
    ? warning(
        'The proxy keeps responses back until they are complete (buffering): event streams and progress arrive late or not at all. Webhooks are not affected.',
        'Turn response buffering off, at least for /v1/events and /v1/jobs (in nginx: proxy_buffering off), and compression of text/event-stream.',
        details,
      )
    : ok('Responses pass through in parts as they are written.', details)
}

/** Facts about PUBLIC_URL. */
export interface AddressFacts {
  publicUrl: string | null
  /** Whether Replicate is a program on this machine, such as the simulator, which reaches private addresses too. */
  isUpstreamLocal: boolean
  /** Whether the host is a name of this machine, or resolves to an address that is not public. */
  isPrivate: boolean
  addresses: readonly string[]
}

export function judgeAddress({ publicUrl, isUpstreamLocal, isPrivate, addresses }: AddressFacts): Finding {
  if (publicUrl === null)
    return skipped(
      'PUBLIC_URL is not set: there are no webhooks, and jobs finish by polling. Nothing is lost; completions are noticed up to 15 seconds later, and polls use the read budget.',
      'Set PUBLIC_URL of workers and apis to the https URL at which Replicate reaches the api, if jobs should finish at once.',
    )
  const details = { url: publicUrl, addresses: addresses.join(', ') }
  if (isUpstreamLocal) return ok(`Webhooks go to ${publicUrl}, from a Replicate on this machine.`, details)
  if (!publicUrl.startsWith('https:'))
    return failed(
      `PUBLIC_URL is ${publicUrl}. Replicate takes only https, so it refuses every create, and creation pauses.`,
      'Set PUBLIC_URL to an https URL that Replicate can reach, or remove it.',
      details,
    )
  if (isPrivate)
    return warning(
      `${new URL(publicUrl).host} leads to ${addresses.join(', ')} from here, which is not reachable from the internet.`,
      'Replicate calls from the internet. Unless the name leads to a public address there, use a public name or a tunnel.',
      details,
    )
  return ok(`Webhooks go to ${publicUrl}.`, details)
}
