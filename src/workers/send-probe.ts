import { lookup } from 'node:dns/promises'
import { Agent, request } from 'undici'
import { arrival, type Arrival, type ProbeReply } from '../shared/doctor/rules/probe.ts'
import { messageOf } from '../shared/values/error-text.ts'

/** Longest wait for a connection, and for the response to a probe, ms. Replicate waits "a few seconds". */
const CONNECT_MS = 5_000
const ANSWER_MS = 15_000
/** Kept of a response, characters. */
const KEPT = 4_000
/** Headers that name who responded. */
const NAMES = ['server', 'via', 'ngrok-error-code', 'x-powered-by']

/** One request with a probe. */
export interface ProbeRequest {
  url: string
  headers: Record<string, string>
  body: Buffer
}

export interface ProbeSender {
  send(probe: ProbeRequest): Promise<ProbeReply>
  /** Addresses of a host; none when it does not resolve. */
  addresses(host: string): Promise<string[]>
}

/**
 * Sends probes as Replicate sends webhooks: by the name in the URL, without following redirects, over a new connection for
 * each. `ca`: authorities that are trusted instead of the public ones, for tests.
 */
export function createProbeSender({ answerMs = ANSWER_MS, ca }: { answerMs?: number; ca?: string } = {}): ProbeSender {
  return {
    async send({ url, headers, body }) {
      const dispatcher = new Agent({
        pipelining: 0,
        connect: { timeout: CONNECT_MS, ...(ca === undefined ? {} : { ca }) },
        headersTimeout: answerMs,
        bodyTimeout: answerMs,
      })
      const began = performance.now()
      const since = (): number => performance.now() - began
      try {
        const answer = await request(url, { method: 'POST', headers, body, dispatcher })
        const header = (name: string): string => [answer.headers[name]].flat()[0] ?? ''
        let text = ''
        let first: number | null = null
        for await (const chunk of answer.body) {
          first ??= since()
          if (text.length < KEPT) text += String(chunk)
        }
        const last = since()
        return {
          kind: 'answered',
          status: answer.statusCode,
          location: header('location') || null,
          server: NAMES.map(header).filter(Boolean).join(', ').slice(0, 200),
          text: text.slice(0, KEPT),
          arrival: answer.statusCode === 202 ? arrivalIn(text) : null,
          ms: first ?? last,
          gap: last - (first ?? last),
        }
      } catch (error) {
        return { kind: 'none', code: codeOf(error), message: messageOf(error), ms: since() }
      } finally {
        await dispatcher.destroy()
      }
    },

    async addresses(host) {
      const found = await lookup(host.replace(/^\[|\]$/g, ''), { all: true }).catch(() => [])
      return found.map(({ address }) => address)
    },
  }
}

/** The first line of a receiver's response. */
function arrivalIn(text: string): Arrival | null {
  try {
    return arrival.parse(JSON.parse(text.split('\n')[0] ?? ''))
  } catch {
    return null
  }
}

/** Code of the innermost error that has one. */
function codeOf(error: unknown): string {
  let code = ''
  for (let at = error; at instanceof Error; at = at.cause)
    if ('code' in at && typeof at.code === 'string') code = at.code
  return code || 'UNKNOWN'
}
