import { hash, randomUUID } from 'node:crypto'
import { ulid } from 'ulid'
import type { OpenProbes } from '../shared/doctor/ports.ts'
import { skipped, type Finding } from '../shared/doctor/rules/check.ts'
import {
  judgeAddress,
  judgeBuffering,
  judgeLargeProbe,
  judgeProbe,
  judgeUnknownProbe,
  looksBuffered,
} from '../shared/doctor/rules/judge-probe.ts'
import { PROBE_ATTEMPT, type ProbeReply, type SentProbe } from '../shared/doctor/rules/probe.ts'
import { isPublicAddress } from '../shared/artifacts/public-address.ts'
import { signedHeaders } from '../shared/notifications/rules/signature.ts'
import { WEBHOOK_PATH, type WebhookTokens } from '../shared/replicate/rules/webhook-token.ts'
import type { ProbeSender } from './send-probe.ts'

/** Size of the large probe: ten times what Express and nginx accept by default. */
const LARGE_BYTES = 1_000_000

/** Small probes until a proxy counts as buffering. */
const TRIES = 3

export interface ProbeWebhooksOptions {
  probes: OpenProbes
  sender: ProbeSender
  tokens: Pick<WebhookTokens, 'url'>
  publicUrl: () => string | null
  isUpstreamLocal: boolean
  /** Signing secret of the account as Replicate has it; null when it cannot be fetched. */
  secret: () => Promise<string | null>
  /** Generation of Redis's memory that this process knows. */
  generation: () => string
  /** ms since 1970 */
  now?: () => number
}

export const PROBE_CHECKS = ['webhook_address', 'webhook_probe', 'webhook_body', 'proxy_buffering'] as const

type ProbeFindings = Record<(typeof PROBE_CHECKS)[number], Finding>

/** Sends signed probes to our own receiver by the way that webhooks take, and judges what comes back. */
export function createProbeWebhooks(options: ProbeWebhooksOptions): () => Promise<ProbeFindings> {
  const { probes, sender, tokens, publicUrl, secret, generation, now = Date.now } = options

  async function send(body: (probe: string) => Buffer, key: string | null): Promise<[SentProbe, ProbeReply]> {
    const probe = `probe_${ulid()}`
    const made = makeProbe({ probe, body: body(probe), url: tokens.url(probe, PROBE_ATTEMPT), at: now(), key })
    await probes.open(probe)
    try {
      return [{ ...made.sent, generation: generation() }, await sender.send(made.request)]
    } finally {
      await probes.close(probe)
    }
  }

  return async () => {
    const url = publicUrl()
    const address = await examineAddress(url, options)
    if (url === null) return { webhook_address: address, ...allSkipped('There are no webhooks without PUBLIC_URL.') }
    const key = await secret()
    const [sent, reply] = await send(smallBody, key)
    const small = judgeProbe(sent, reply)
    if (small.state === 'failed') return { webhook_address: address, ...allSkipped(NO_OTHER), webhook_probe: small }
    const large = await send(largeBody, key)
    // A process that was busy for a moment reads both lines at once, too.
    const replies = [reply]
    while (replies.length < TRIES && replies.every(looksBuffered)) replies.push((await send(smallBody, key))[1])
    return {
      webhook_address: address,
      webhook_probe: small,
      webhook_body: judgeLargeProbe(...large),
      proxy_buffering: judgeBuffering(replies),
    }
  }
}

const NO_OTHER = 'The small probe did not pass, so no other one was sent.'

function allSkipped(seen: string) {
  const none = skipped(seen)
  return { webhook_probe: none, webhook_body: none, proxy_buffering: none }
}

async function examineAddress(
  publicUrl: string | null,
  { sender, isUpstreamLocal }: Pick<ProbeWebhooksOptions, 'sender' | 'isUpstreamLocal'>,
): Promise<Finding> {
  const addresses = publicUrl === null ? [] : await sender.addresses(new URL(publicUrl).hostname)
  const isPrivate = addresses.some((address) => !isPublicAddress(address))
  return judgeAddress({ publicUrl, isUpstreamLocal, isPrivate, addresses })
}

/** The same without Redis, where no receiver can know a probe: whether one responds, and what stands in the way. */
export async function probeUnknown(
  publicUrl: string | null,
  options: Pick<ProbeWebhooksOptions, 'sender' | 'isUpstreamLocal'>,
): Promise<ProbeFindings> {
  const address = await examineAddress(publicUrl, options)
  if (publicUrl === null)
    return { webhook_address: address, ...allSkipped('There are no webhooks without PUBLIC_URL.') }
  const probe = `probe_${ulid()}`
  const query = new URLSearchParams({ job: probe, attempt: String(PROBE_ATTEMPT), token: 'unknown' })
  const url = `${publicUrl}${WEBHOOK_PATH}?${query.toString()}`
  const { sent, request } = makeProbe({ probe, body: smallBody(probe), url, at: Date.now(), key: null })
  const reply = await options.sender.send(request)
  const small = judgeUnknownProbe({ ...sent, generation: '' }, reply)
  return { webhook_address: address, ...allSkipped('Redis does not respond.'), webhook_probe: small }
}

interface ProbeParts {
  probe: string
  body: Buffer
  url: string
  at: number
  /** Signing secret; null: none is known. */
  key: string | null
}

function makeProbe({ probe, body, url, at, key }: ProbeParts) {
  const secrets = { current: { key: key ?? UNKNOWN_SECRET, created_at: 0 }, previous: [] }
  const headers = {
    'content-type': 'application/json',
    'content-length': String(body.length),
    'user-agent': 'genqueue-doctor',
    ...signedHeaders(secrets, { id: `msg_${randomUUID()}`, at, body: body.toString() }),
  }
  const sent = { probe, url, bytes: body.length, sha256: hash('sha256', body), at, signed: key !== null }
  return { sent, request: { url, headers, body } }
}

const UNKNOWN_SECRET = `whsec_${Buffer.alloc(24).toString('base64')}`

/** Spaces, escapes and numbers that do not survive parsing and writing. */
const smallBody = (probe: string): Buffer =>
  Buffer.from(`{"id": "${probe}",  "status":"probe", "text": "caf\\u00e9 \\/ é\\n", "number": 1.0, "big": 1e2}\n`)

const LINE = 'a line of the logs of a prediction, as webhooks repeat them\\n'
function largeBody(probe: string): Buffer {
  const logs = LINE.repeat(Math.ceil(LARGE_BYTES / LINE.length))
  return Buffer.from(`{"id": "${probe}",  "status":"probe", "logs": "${logs}"}\n`)
}
