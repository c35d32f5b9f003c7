import { createHash } from 'node:crypto'
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { z } from 'zod'
import { cannot } from '../cannot.ts'
import type { SimulatorRequest } from '../http/router.ts'
import { scrubJson, scrubText } from './scrub.ts'

/** A recording: a file of JSON lines, one for each request and its response, as Replicate sees them and without secrets. */

const exchangeSchema = z.object({
  /** Milliseconds since the recording began. */
  at: z.number(),
  request: z.object({
    method: z.string(),
    /** With its host: `https://api.replicate.com/v1/predictions?cursor=…`. */
    url: z.string(),
    /** Where the response depends on it. */
    prefer: z.string().optional(),
    /** JSON, `{ form: { name: digest } }`, or `{ digest }`; absent without a body. */
    body: z.unknown().optional(),
  }),
  response: z.object({
    status: z.int(),
    headers: z.record(z.string(), z.string()),
    /** As text where it is, else in base 64. */
    text: z.string().optional(),
    base64: z.string().optional(),
  }),
})

export type Exchange = z.output<typeof exchangeSchema>

export function createTape(file: string): (exchange: Exchange) => void {
  try {
    writeFileSync(file, '')
  } catch (cause) {
    throw cannot(`write the recording ${file}`, cause)
  }
  return (exchange) => appendFileSync(file, `${JSON.stringify(exchange)}\n`)
}

/** Throws when there is none, or a line is not of its form. */
export function readTape(file: string): Exchange[] {
  return textOf(file)
    .split('\n')
    .flatMap((line, i) => {
      if (line === '') return []
      try {
        return [exchangeSchema.parse(JSON.parse(line))]
      } catch (cause) {
        throw new Error(`${file}: line ${i + 1} is no part of a recording`, { cause })
      }
    })
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw cannot(`read the recording ${file}`, cause)
  }
}

/** A request as it is recorded, and compared. */
export async function recordedRequest(
  { method, headers }: SimulatorRequest,
  url: string,
  body: Buffer,
  tokens: Iterable<string>,
): Promise<Exchange['request']> {
  const prefer = typeof headers.prefer === 'string' ? headers.prefer : undefined
  const recorded = await recordedBody(body, headers['content-type'] ?? '', tokens)
  return {
    method,
    url: scrubText(url, tokens),
    ...(prefer === undefined ? {} : { prefer }),
    ...(recorded === undefined ? {} : { body: recorded }),
  }
}

async function recordedBody(body: Buffer, type: string, tokens: Iterable<string>): Promise<unknown> {
  if (body.length === 0) return undefined
  if (/^multipart\/form-data/i.test(type)) {
    const form = await new Response(new Uint8Array(body), { headers: { 'content-type': type } }).formData()
    const fields = [...form].map(async ([name, value]) => {
      const bytes = typeof value === 'string' ? Buffer.from(value) : Buffer.from(await value.arrayBuffer())
      return [name, digestOf(bytes)] as const
    })
    return { form: Object.fromEntries(await Promise.all(fields)) }
  }
  const text = body.toString('utf8')
  try {
    return scrubJson(JSON.parse(text), tokens)
  } catch {
    return { digest: digestOf(body) }
  }
}

const digestOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex').slice(0, 32)

/** Two requests with the same key get the same response. The receiver of webhooks does not matter. */
export const keyOf = ({ method, url, prefer = '', body }: Exchange['request']): string =>
  JSON.stringify([method, url, prefer, sorted(body, ['webhook', 'webhook_events_filter'])])

function sorted(value: unknown, ignored: readonly string[] = []): unknown {
  if (Array.isArray(value)) return value.map((one) => sorted(one))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => !ignored.includes(name))
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, inner]) => [name, sorted(inner)]),
  )
}
