import { Agent, request } from 'undici'
import { createCheckedConnect } from '../artifacts/checked-connect.ts'
import { ForbiddenAddressError, type Lookup } from '../artifacts/public-address.ts'
import { messageOf } from '../values/error-text.ts'
import { readRetryAfter } from './rules/retry.ts'
import { errorCodeOf, printable } from './rules/response-text.ts'
import { signedHeaders } from './rules/signature.ts'
import { isAllowedForWebhook, webhookUrlProblem, type WebhookAllow } from './rules/webhook-url.ts'
import type { SendResult, Transport } from './transport-port.ts'

export interface HttpTransportOptions {
  allow: WebhookAllow
  /** For the `User-Agent`. */
  version: string
  /** For a whole attempt, and for connecting, ms. */
  timeout: number
  connectTimeout: number
  /** Absent: the resolver of the system. */
  lookup?: Lookup
}

/** Bytes of a response that are read. */
const MOST_READ = 64 * 1024

/**
 * Sends webhooks: one POST, to checked addresses only, without redirects, cookies and proxies. A response with any status is an
 * answer, also when its body cannot be read.
 */
export function createHttpTransport({
  allow,
  version,
  timeout,
  connectTimeout,
  lookup,
}: HttpTransportOptions): Transport<SendResult> & {
  close(): Promise<void>
} {
  const isAllowed = (host: string, address: string): boolean => isAllowedForWebhook(host, address, allow)
  const agent = new Agent({ connect: createCheckedConnect({ timeout: connectTimeout, isAllowed, lookup }) })
  const failed = (error: SendResult['error'], detail: string): SendResult => ({
    status: null,
    error,
    detail: printable(detail),
    retryAfter: null,
  })

  return {
    kind: 'webhook',
    async send({ notification: { id }, to, body, secrets, at }, signal) {
      const problem = webhookUrlProblem(to, allow)
      if (problem !== null) return failed('forbidden_address', problem)
      const deadline = AbortSignal.timeout(timeout)
      const either = AbortSignal.any([signal, deadline])
      try {
        const response = await request(to, {
          method: 'POST',
          dispatcher: agent,
          signal: either,
          body,
          headers: {
            'content-type': 'application/json',
            accept: '*/*',
            'accept-encoding': 'identity',
            'user-agent': `genqueue/${version}`,
            ...(secrets === null ? {} : signedHeaders(secrets, { id, at, body })),
          },
        })
        const text = printable(await beginningOf(response.body))
        signal.throwIfAborted()
        const { statusCode: status, headers } = response
        const isRedirect = status >= 300 && status < 400
        const target = typeof headers.location === 'string' ? ` to ${headers.location}` : ''
        return {
          status,
          error: isRedirect ? 'redirect' : null,
          detail: isRedirect ? printable(`Redirected${target}, which is not followed. ${text}`) : text,
          retryAfter: readRetryAfter(headers['retry-after'], Date.now()),
        }
      } catch (error) {
        signal.throwIfAborted()
        if (deadline.aborted) return failed('timeout', `No complete response within ${timeout / 1000} s.`)
        if (error instanceof ForbiddenAddressError) return failed('forbidden_address', error.message)
        return failed(errorCodeOf(error), messageOf(error))
      }
    },
    close: () => agent.destroy(),
  }
}

/** The beginning of a body, as far as it is read; a longer one, or one that fails, ends its connection. */
async function beginningOf(body: AsyncIterable<Uint8Array> & { destroy(): unknown }): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  try {
    for await (const chunk of body) {
      chunks.push(chunk)
      bytes += chunk.length
      if (bytes >= MOST_READ) break
    }
  } catch {
    // The status is the answer; what was read of the body is shown.
  } finally {
    body.destroy()
  }
  return Buffer.concat(chunks).toString('utf8')
}
