import { malformed, notRecorded, tooLarge } from '../http/problem.ts'
import type { Reply } from '../http/reply.ts'
import type { SimulatorRequest } from '../http/router.ts'
import { serve } from '../http/serve.ts'
import type { Served, ServeOptions } from '../served.ts'
import { tokenOf } from '../routes/request-headers.ts'
import { REPLICATE_API } from '../replicate-hosts.ts'
import { createAddresses, isText } from './addresses.ts'
import { type Exchange, keyOf, readTape, recordedRequest } from './tape.ts'

export interface ReplayOptions extends ServeOptions {
  /** A file of `startRecorder`. */
  file: string
  /** The upstream of the recording. Default https://api.replicate.com. */
  upstream?: string
}

const BODY_LIMIT = 150_000_000

/**
 * Answers as recorded, at once and without a network. Equal requests get their responses in the order of the recording, the
 * last one again and again: so a prediction that is polled comes to its end. A request that was not recorded is a 404 that
 * says so.
 */
export async function startReplay(options: ReplayOptions): Promise<Served> {
  const addresses = createAddresses(new URL(options.upstream ?? REPLICATE_API).origin)
  const recorded = Map.groupBy(readTape(options.file), ({ request }) => keyOf(request))
  const played = new Map<string, number>()

  async function answer(request: SimulatorRequest): Promise<Reply> {
    const target = addresses.targetOf(request)
    const sent = await request.readBody(BODY_LIMIT)
    if (sent === 'too large') return tooLarge()
    if (target === null) return notRecorded(request.method, request.path)
    const body = isText(request.headers['content-type'] ?? '')
      ? Buffer.from(addresses.toUpstream(sent.toString('utf8'), request))
      : sent
    const token = tokenOf(request.headers)
    const asked = await recordedRequest(request, target.href, body, token === null ? [] : [token]).catch(() => null)
    if (asked === null) return malformed('The request body is not valid')
    const key = keyOf(asked)
    const responses = recorded.get(key) ?? []
    const turn = played.get(key) ?? 0
    const found = responses[Math.min(turn, responses.length - 1)]
    if (found === undefined) return notRecorded(request.method, target.href)
    played.set(key, turn + 1)
    return replyOf(found.response, (text) => addresses.toLocal(text, request))
  }

  return serve(options, answer, null)
}

function replyOf({ status, headers, text, base64 }: Exchange['response'], local: (text: string) => string): Reply {
  const shown = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, local(value)]))
  const body = text === undefined ? Buffer.from(base64 ?? '', 'base64') : local(text)
  return { kind: 'bytes', status, headers: shown, body }
}
