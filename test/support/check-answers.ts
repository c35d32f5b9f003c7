import { subscribe } from 'node:diagnostics_channel'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { FRONT } from '../../src/api/front/path.ts'
import { OPENAPI, parsedDocument } from './parsed-document.ts'
import { againstReplicate } from './replicate-document.ts'

/**
 * Compares each response of a service with docs/openapi.yaml: status, error code, media type, and the body with every field.
 * Node announces each request of each server in this process, so no client has to take part: this sees what browsers, the
 * command line and raw sockets receive. Of a service in another process it sees what `fetch` of this one receives.
 * test/support/answers-checked.ts reports what is wrong after each test.
 */

/** Larger bodies are not kept. */
const MAX_BYTES = 4 * 1024 * 1024

type Part = Readonly<Record<string, unknown>>
interface Operation {
  matches: RegExp
  /** By method: its responses, and their place in the document. */
  methods: Map<string, { responses: Part; place: string }>
}

const isPart = (value: unknown): value is Part => typeof value === 'object' && value !== null
const partOf = (value: unknown): Part => (isPart(value) ? value : {})
const segment = (key: string): string => encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1'))

/** The document in which an object has the fields that it lists, and no other. */
function strict(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(strict)
  if (!isPart(value)) return value
  const inner = Object.fromEntries(Object.entries(value).map(([key, one]) => [key, strict(one)]))
  const isClosed = [value['type']].flat().includes('object') && isPart(value['properties'])
  return isClosed ? { additionalProperties: false, ...inner } : inner
}

function load() {
  const document = partOf(strict(parsedDocument(OPENAPI)))
  // What is compiled runs a few times only, and test/unit/api-document.test.ts compiles all of it with every check.
  const ajv = new Ajv2020({ strict: false, validateSchema: false, code: { optimize: false } })
  addFormats.default(ajv)
  ajv.addSchema(document, 'api')
  const operations = Object.entries(partOf(document['paths'])).map(([path, item]): Operation => {
    const methods = Object.entries(partOf(item)).map(
      ([method, operation]) =>
        [
          method.toUpperCase(),
          {
            responses: partOf(partOf(operation)['responses']),
            place: `#/paths/${segment(path)}/${method}/responses`,
          },
        ] as const,
    )
    return { matches: new RegExp(`^${path.replaceAll(/\{\w+\}/g, '[^/]+')}$`), methods: new Map(methods) }
  })
  const compiled = new Map<string, ValidateFunction>()
  return {
    operations,
    /** What is wrong with a value by the schema at a place; null: nothing. */
    wrong(place: string, value: unknown): string | null {
      const validate = compiled.get(place) ?? ajv.compile({ $ref: `api${place}` })
      compiled.set(place, validate)
      if (validate(value)) return null
      const [error] = validate.errors ?? []
      return `${error?.instancePath} ${error?.message} ${JSON.stringify(error?.params)}`
    },
  }
}
let loaded: ReturnType<typeof load> | undefined

/** Ports of the services of this process. */
const ports = new Set<number>()
const wrong = new Set<string>()
let seen = 0
let isSubscribed = false

/** Checks the responses to requests at this port, until the returned function is called. */
export function checkAnswersOf(port: number): () => void {
  if (!isSubscribed) subscribe('http.server.request.start', onRequest)
  isSubscribed = true
  ports.add(port)
  return () => void ports.delete(port)
}

/** Origins of services in other processes. */
const origins = new Set<string>()
let isReceiving = false

/** Checks what this process receives from a service in another one, until the returned function is called. */
export function checkAnswersFrom(url: string): () => void {
  const { origin } = new URL(url)
  if (!isReceiving) receive()
  isReceiving = true
  origins.add(origin)
  return () => void origins.delete(origin)
}

/** Number of responses that were compared with the document in this process. */
export const answersSeen = (): number => seen

/** What was wrong since the last call. */
export function takeWrongAnswers(): string[] {
  const all = [...wrong]
  wrong.clear()
  return all
}

function onRequest(message: unknown): void {
  const { request, response } = message as { request: IncomingMessage; response: ServerResponse }
  if (!ports.has(request.socket.localPort ?? 0)) return
  // Express changes the URL of a request on its way.
  const { method = 'GET', url = '/' } = request
  const chunks: Buffer[] = []
  let size = 0
  const keep = (chunk: unknown, encoding: unknown): void => {
    if (typeof chunk !== 'string' && !(chunk instanceof Uint8Array)) return
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding === 'latin1' ? encoding : 'utf8') : chunk
    size += bytes.length
    if (size <= MAX_BYTES) chunks.push(Buffer.from(bytes))
    else chunks.length = 0
  }
  const { write, end } = response
  // The parameters of both have overloads, of which only the first two matter here.
  response.write = (...given: unknown[]): boolean => {
    keep(given[0], given[1])
    return Reflect.apply(write, response, given) as boolean
  }
  response.end = (...given: unknown[]): typeof response => {
    keep(given[0], given[1])
    return Reflect.apply(end, response, given) as typeof response
  }
  response.once('close', () => {
    if (!response.headersSent) return
    const isWhole = response.writableFinished && size <= MAX_BYTES
    const header = (name: string): string => String(response.getHeader(name) ?? '')
    judge(method, url, { status: response.statusCode, header, body: isWhole ? Buffer.concat(chunks) : null })
  })
}

/** What undici, and so `fetch`, announces of a request. */
interface Announced {
  request: { origin: string; method: string; path: string }
  response: { statusCode: number; headers: Uint8Array[] }
  chunk: Uint8Array
}

/** Follows the requests of this process to `origins`. A response that breaks off is not judged. */
function receive(): void {
  const open = new WeakMap<
    object,
    { status: number; headers: Map<string, string>; chunks: Uint8Array[]; size: number }
  >()
  const on = (event: string, handle: (message: Announced) => void): void =>
    subscribe(`undici:request:${event}`, (message) => {
      handle(message as Announced)
    })
  on('headers', ({ request, response: { statusCode, headers } }) => {
    if (!origins.has(request.origin)) return
    const texts = headers.map((one) => Buffer.from(one).toString('latin1'))
    const named = texts.flatMap((text, at) =>
      at % 2 === 0 ? [[text.toLowerCase(), texts[at + 1] ?? ''] as const] : [],
    )
    open.set(request, { status: statusCode, headers: new Map(named), chunks: [], size: 0 })
  })
  on('bodyChunkReceived', ({ request, chunk }) => {
    const received = open.get(request)
    if (!received) return
    received.size += chunk.length
    // undici uses the memory of a chunk again.
    if (received.size <= MAX_BYTES) received.chunks.push(Uint8Array.from(chunk))
    else received.chunks.length = 0
  })
  on('trailers', ({ request }) => {
    const received = open.get(request)
    if (!received) return
    const { status, headers, chunks, size } = received
    const header = (name: string): string => headers.get(name) ?? ''
    judge(request.method, request.path, { status, header, body: size <= MAX_BYTES ? Buffer.concat(chunks) : null })
  })
}

interface Received {
  status: number
  /** '' where it is absent. */
  header: (name: string) => string
  /** null: it was not kept completely. */
  body: Buffer | null
}

function judge(method: string, url: string, response: Received): void {
  const path = url.replace(/\?.*/s, '')
  const problem = problemWith(method, path, response)
  if (problem !== null) wrong.add(`${method} ${path} ${response.status}: ${problem}`)
}

/** What is wrong with a response; null: nothing, or it is none of the API. */
function problemWith(asked: string, path: string, response: Received): string | null {
  const { body } = response
  if (asked === 'OPTIONS') return null
  if (path.startsWith(FRONT)) return problemWithFront(asked, path.slice(FRONT.length), response)
  loaded ??= load()
  const operation = loaded.operations.find(({ matches }) => matches.test(path))
  const method = operation?.methods.get(asked === 'HEAD' ? 'GET' : asked)
  const [media = ''] = response.header('content-type').split(';')
  const hasBody = asked !== 'HEAD' && body !== null
  const text = (): string => decoded(response, body ?? Buffer.alloc(0)).toString('utf8')
  if (!method) {
    if (!operation && media !== 'application/problem+json') return null
    if (!hasBody) return null
    if (operation) return problemBody(text(), ['method_not_allowed'])
    // Pages and the board have other errors.
    return problemBody(text(), path.startsWith('/v1/') ? ['not_found', 'invalid_header'] : null)
  }
  seen++
  const status = String(response.status)
  const answer = partOf(method.responses[status])
  if (!(status in method.responses)) return `the status is not described: ${hasBody ? text().slice(0, 300) : ''}`
  if ('$ref' in answer) {
    if (media !== 'application/problem+json') return `the media type ${media} is not that of a problem`
    const codes = [...String(answer['description']).matchAll(/`(\w+)`/g)].map(([, code = '']) => code)
    return hasBody ? problemBody(text(), codes) : null
  }
  const content = Object.entries(partOf(answer['content']))
  if (content.length === 0) return hasBody && body.length > 0 ? 'a body is not described' : null
  const [known, described] = content.find(([one]) => one === '*/*' || one === media) ?? []
  if (known === undefined) return `the media type ${media} is not described`
  if (!hasBody) return null
  const place = `${method.place}/${status}/content/${segment(known)}`
  if (known === 'application/json') return loaded.wrong(`${place}/schema`, JSON.parse(text()))
  if (!('x-itemSchema' in partOf(described))) return null
  for (const item of itemsOf(known, text())) {
    const problem = loaded.wrong(`${place}/x-itemSchema`, item)
    if (problem !== null) return problem
  }
  return null
}

/** Replicate's own API: its document decides, and errors have its form. */
function problemWithFront(method: string, path: string, response: Received): string | null {
  const { body, status } = response
  const [media = ''] = response.header('content-type').split(';')
  if (body === null || method === 'HEAD' || !media.endsWith('json')) return null
  seen++
  const value: unknown = JSON.parse(decoded(response, body).toString('utf8'))
  if (status < 400) return againstReplicate(method, path, status, value)
  const { detail, status: stated } = partOf(value)
  if (media !== 'application/problem+json') return `the media type ${media} is not that of a problem`
  return typeof detail === 'string' && stated === status ? null : 'a problem needs `detail` and `status`'
}

/** `codes` null: any. */
function problemBody(text: string, codes: readonly string[] | null): string | null {
  const problem: unknown = JSON.parse(text)
  const { code, detail } = partOf(problem)
  if (codes?.includes(String(code)) === false) return `the code ${String(code)} is not described: ${String(detail)}`
  return loaded?.wrong('#/components/schemas/Problem', problem) ?? null
}

function decoded(response: Received, body: Buffer): Buffer {
  switch (response.header('content-encoding')) {
    case 'gzip':
      return gunzipSync(body)
    case 'br':
      return brotliDecompressSync(body)
    case 'deflate':
      return inflateSync(body)
    default:
      return body
  }
}

/** Lines of JSON, or server-sent events with their data. */
function itemsOf(media: string, text: string): unknown[] {
  if (media !== 'text/event-stream')
    return text
      .split('\n')
      .filter(Boolean)
      .map((line): unknown => JSON.parse(line))
  return text.split('\n\n').flatMap((block) => {
    const fields = Object.fromEntries(
      block.split('\n').flatMap((line) => {
        const [, name = '', value = ''] = /^(\w+): (.*)$/.exec(line) ?? []
        return name === '' ? [] : [[name, name === 'data' ? (JSON.parse(value) as unknown) : value]]
      }),
    )
    return 'event' in fields ? [fields] : []
  })
}
