import { hash, randomUUID } from 'node:crypto'
import { ulid } from 'ulid'
import type { OpenProbes } from '../shared/doctor/ports.ts'
import { skipped, type Finding } from '../shared/doctor/rules/check.ts'
import {
  judgeAddress,
  judgeBuffering,
  judgeLargeProbe,
  judgeProbe,
  looksBuffered,
} from '../shared/doctor/rules/judge-probe.ts'
import { PROBE_ATTEMPT, type ProbeReply, type SentProbe } from '../shared/doctor/rules/probe.ts'
import { isPublicAddress } from '../shared/artifacts/public-address.ts'
import { signedHeaders } from '../shared/notifications/rules/signature.ts'
import type { WebhookTokens } from '../shared/replicate/rules/webhook-token.ts'
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
  const { probes, sender, tokens, publicUrl, isUpstreamLocal, secret, generation, now = Date.now } = options

  async function send(body: (probe: string) => Buffer, key: string | null): Promise<[SentProbe, ProbeReply]> {
    const probe = `probe_${ulid()}`
    const content = body(probe)
    const url = tokens.url(probe, PROBE_ATTEMPT)
    const at = now()
    const secrets = { current: { key: key ?? UNKNOWN_SECRET, created_at: 0 }, previous: [] }
    const signed = signedHeaders(secrets, { id: `msg_${randomUUID()}`, at, body: content.toString() })
    const headers = {
      'content-type': 'application/json',
      'content-length': String(content.length),
      'user-agent': 'genqueue-doctor',
      ...signed,
    }
    await probes.open(probe)
    try {
      const sent = { probe, url, bytes: content.length, sha256: hash('sha256', content), at }
      const reply = await sender.send({ url, headers, body: content })
      return [{ ...sent, signed: key !== null, generation: generation() }, reply]
    } finally {
      await probes.close(probe)
    }
  }

  return async () => {
    const url = publicUrl()
    const host = url === null ? '' : new URL(url).hostname
    const addresses = url === null ? [] : await sender.addresses(host)
    const isPrivate = addresses.some((address) => !isPublicAddress(address))
    const address = judgeAddress({ publicUrl: url, isUpstreamLocal, isPrivate, addresses })
    if (url === null) {
      const none = skipped('There are no webhooks without PUBLIC_URL.')
      return { webhook_address: address, webhook_probe: none, webhook_body: none, proxy_buffering: none }
    }
    const key = await secret()
    const [sent, reply] = await send(smallBody, key)
    const small = judgeProbe(sent, reply)
    if (small.state === 'failed') {
      const none = skipped('The small probe did not pass, so no other one was sent.')
      return { webhook_address: address, webhook_probe: small, webhook_body: none, proxy_buffering: none }
    }
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

const UNKNOWN_SECRET = `whsec_${Buffer.alloc(24).toString('base64')}`

/** Spaces, escapes and numbers that do not survive parsing and writing. */
const smallBody = (probe: string): Buffer =>
  Buffer.from(`{"id": "${probe}",  "status":"probe", "text": "caf\\u00e9 \\/ é\\n", "number": 1.0, "big": 1e2}\n`)

const LINE = 'a line of the logs of a prediction, as webhooks repeat them\\n'
function largeBody(probe: string): Buffer {
  const logs = LINE.repeat(Math.ceil(LARGE_BYTES / LINE.length))
  return Buffer.from(`{"id": "${probe}",  "status":"probe", "logs": "${logs}"}\n`)
}
