import { Readable } from 'node:stream'
import { malformed, serverError, tooLarge, notFound } from '../http/problem.ts'
import type { Reply } from '../http/reply.ts'
import type { SimulatorRequest } from '../http/router.ts'
import { serve } from '../http/serve.ts'
import type { Served, ServeOptions } from '../served.ts'
import { REPLICATE_API } from '../replicate-hosts.ts'
import { tokenOf } from '../routes/request-headers.ts'
import { type Addresses, createAddresses, isText } from './addresses.ts'
import { scrubJson, scrubText } from './scrub.ts'
import { createTape, type Exchange, recordedRequest } from './tape.ts'

export interface RecorderOptions extends ServeOptions {
  /** Where the recording is written. It is begun again. */
  file: string
  /** Default https://api.replicate.com. */
  upstream?: string
  /** The token for the upstream. Default: the client's. */
  token?: string
}

const BODY_LIMIT = 150_000_000

/** What of a request is sent on. */
const REQUEST_HEADERS = ['accept', 'cancel-after', 'content-type', 'last-event-id', 'prefer', 'range', 'user-agent']
/** What of a response is returned and recorded. */
const RESPONSE_HEADERS = [
  'accept-ranges',
  'allow',
  'cache-control',
  'content-range',
  'content-type',
  'etag',
  'location',
  'preference-applied',
  'ratelimit-remaining',
  'ratelimit-reset',
  'retry-after',
]

/** Stands between a client and Replicate, and writes down what both say. Runs cost what they cost. */
export async function startRecorder(options: RecorderOptions): Promise<Served> {
  const upstream = new URL(options.upstream ?? REPLICATE_API).origin
  const addresses = createAddresses(upstream)
  const write = createTape(options.file)
  const startedAt = performance.now()
  const tokens = new Set(options.token === undefined ? [] : [options.token])
  const stopping = new AbortController()

  async function answer(request: SimulatorRequest): Promise<Reply> {
    const target = addresses.targetOf(request)
    if (target === null) return notFound()
    const sent = await request.readBody(BODY_LIMIT)
    if (sent === 'too large') return tooLarge()
    const token = tokenOf(request.headers)
    if (token !== null) tokens.add(token)
    const body = isText(request.headers['content-type'] ?? '')
      ? Buffer.from(addresses.toUpstream(sent.toString('utf8'), request))
      : sent
    const recorded = await recordedRequest(request, target.href, body, tokens).catch(() => null)
    if (recorded === null) return malformed('The request body is not valid')
    const response = await fetch(target, {
      method: request.method,
      headers: forwarded(request, target.origin === upstream ? (options.token ?? token) : null),
      redirect: 'manual',
      signal: stopping.signal,
      ...(body.length === 0 ? {} : { body: new Uint8Array(body) }),
    }).catch(() => null)
    if (response === null) return serverError(502)
    const note = (content: Exchange['response']): void =>
      write({ at: Math.round(performance.now() - startedAt), request: recorded, response: content })
    return relayed(request, response, addresses, tokens, note)
  }

  const served = await serve(options, answer, null)
  return {
    ...served,
    async stop() {
      stopping.abort()
      await served.stop()
    },
  }
}

/** Other hosts than the API need no token, and get none. */
function forwarded({ headers }: SimulatorRequest, token: string | null): Headers {
  const sent = new Headers()
  for (const name of REQUEST_HEADERS) {
    const value = headers[name]
    if (typeof value === 'string') sent.set(name, value)
  }
  if (token !== null) sent.set('authorization', `Bearer ${token}`)
  return sent
}

async function relayed(
  request: SimulatorRequest,
  response: Response,
  addresses: Addresses,
  tokens: Iterable<string>,
  note: (content: Exchange['response']) => void,
): Promise<Reply> {
  const { status } = response
  const local = (text: string): string => addresses.toLocal(text, request)
  const headers: Record<string, string> = {}
  for (const name of RESPONSE_HEADERS) {
    const value = response.headers.get(name)
    if (value !== null) headers[name] = value
  }
  const shown = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, local(value)]))
  const type = headers['content-type'] ?? ''
  const scrubbed = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, scrubText(value, tokens)]))
  if (/^text\/event-stream/i.test(type) && response.body !== null) {
    const whole = (text: string): void => note({ status, headers: scrubbed, text: scrubText(text, tokens) })
    return { kind: 'bytes', status, headers: shown, body: Readable.from(lines(response.body, local, whole)) }
  }
  const bytes = Buffer.from(await response.arrayBuffer())
  if (!isText(type)) {
    note({ status, headers: scrubbed, ...(bytes.length === 0 ? {} : { base64: bytes.toString('base64') }) })
    return { kind: 'bytes', status, headers: shown, body: bytes }
  }
  const text = bytes.toString('utf8')
  note({ status, headers: scrubbed, text: scrubbedBody(text, tokens) })
  return { kind: 'bytes', status, headers: shown, body: local(text) }
}

function scrubbedBody(text: string, tokens: Iterable<string>): string {
  try {
    return `${JSON.stringify(scrubJson(JSON.parse(text), tokens))}${/\s*$/.exec(text)?.[0] ?? ''}`
  } catch {
    return scrubText(text, tokens)
  }
}

/** Passes on whole lines, so that no address is cut in two. `done` gets the whole text, unless the stream breaks off. */
async function* lines(
  body: AsyncIterable<Uint8Array>,
  shown: (text: string) => string,
  done: (text: string) => void,
): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let all = ''
  let rest = ''
  for await (const chunk of body) {
    const text = decoder.decode(chunk, { stream: true })
    all += text
    rest += text
    const end = rest.lastIndexOf('\n') + 1
    if (end === 0) continue
    yield shown(rest.slice(0, end))
    rest = rest.slice(end)
  }
  if (rest !== '') yield shown(rest)
  done(all)
}
