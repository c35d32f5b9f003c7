import { linkSignal } from './signals.ts'
import type { BatchItem, BatchRequest, JobRequest } from './types.ts'

/** A file that is opened when it is uploaded, such as `localFile('photo.png')` of `@genqueue/client/node`. */
export interface FileSource {
  readonly kind: 'genqueue.file'
  readonly name: string
  /** Media type. */
  readonly type: string
  /** Rejects when the file cannot be read. */
  readonly open: () => Promise<Blob>
}

/** A file in memory, or one that can be opened. A `File` keeps its name, a `Blob` its type. */
export type FileLike = Blob | ArrayBuffer | Uint8Array | FileSource

/** JSON, with files anywhere in it. A plain text is never read as a path. */
export type InputValue = null | boolean | number | string | FileLike | readonly InputValue[] | Input
export interface Input {
  readonly [field: string]: InputValue | undefined
}

/** `JobRequest` of the API, with files in its input. */
export type SubmitRequest = Omit<JobRequest, 'input'> & { input: Input }

/** An item of a batch; absent fields come from the defaults, the input field by field. */
export type BatchItemRequest = Omit<BatchItem, 'input'> & { input?: Input | undefined }

/** `BatchRequest` of the API, with files in its inputs. */
export type SubmitBatchRequest = Omit<BatchRequest, 'defaults' | 'items'> & {
  defaults?: BatchItemRequest | undefined
  /** 1 to 1,000 */
  items: readonly BatchItemRequest[]
}

/** Uploads at the same time. */
const AT_ONCE = 4

const isBlob = (value: object): value is Blob =>
  value instanceof Blob || ('arrayBuffer' in value && 'type' in value && 'size' in value && 'stream' in value)
const isSource = (value: object): value is FileSource => 'kind' in value && value.kind === 'genqueue.file'
const isBytes = (value: object): value is ArrayBuffer | Uint8Array =>
  ArrayBuffer.isView(value) || value instanceof ArrayBuffer

function isFile(value: unknown): value is FileLike {
  return typeof value === 'object' && value !== null && (isBytes(value) || isSource(value) || isBlob(value))
}

/** Only these are searched for files: JSON writes any other object in its own way. */
function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/** The bytes of a file, with its name. */
export async function openFile(file: FileLike, name?: string): Promise<{ blob: Blob; name: string }> {
  if (isSource(file)) return { blob: await file.open(), name: name ?? file.name }
  // Copied, because the memory could be shared.
  if (isBytes(file)) return { blob: new Blob([new Uint8Array(file)]), name: name ?? 'file' }
  const own: unknown = 'name' in file ? file.name : undefined
  // A Blob of another realm is no Blob for FormData.
  const blob =
    file instanceof Blob ? file : new Blob([await (file as Blob).arrayBuffer()], { type: (file as Blob).type })
  return { blob, name: name ?? (typeof own === 'string' ? own : 'file') }
}

/**
 * A form with one file. Not by FormData, whose upload through the fetch of Node ends the process with an unhandled rejection
 * when it is aborted or cut. `boundary` must not be in the file.
 */
export function formOf(
  { blob, name }: { blob: Blob; name: string },
  boundary: string,
): { body: Blob; headers: Record<string, string> } {
  const named = name.replaceAll(/["\r\n]/g, encodeURIComponent)
  const type = /^[\w!#$&^.+/; =-]+$/.test(blob.type) ? blob.type : 'application/octet-stream'
  const head = `--${boundary}\r\ncontent-disposition: form-data; name="file"; filename="${named}"\r\ncontent-type: ${type}\r\n\r\n`
  return {
    body: new Blob([head, blob, `\r\n--${boundary}--\r\n`]),
    headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
  }
}

interface Prepare {
  /** Returns the link of the upload. */
  upload: (file: FileLike, signal: AbortSignal) => Promise<string>
  /** Applied to the other texts. */
  text: (text: string) => string
  signal: AbortSignal | undefined
}

/**
 * The inputs with the links of uploads in place of files. The same object is uploaded once. When one upload fails the others
 * are aborted, and it rejects with that error.
 */
async function prepareInputs(inputs: readonly Input[], { upload, text, signal }: Prepare): Promise<unknown[]> {
  const links = new Map<FileLike, string>()
  const files = new Set<FileLike>()
  for (const input of inputs) mapInput(input, (file) => void files.add(file), text)
  if (files.size > 0) {
    const stop = linkSignal(signal)
    const waiting = [...files]
    const work = async (): Promise<void> => {
      for (let file = waiting.shift(); file !== undefined; file = waiting.shift())
        links.set(file, await upload(file, stop.signal))
    }
    try {
      await Promise.all(Array.from({ length: Math.min(AT_ONCE, files.size) }, work))
    } finally {
      stop.release()
      waiting.length = 0
      stop.abort()
    }
  }
  return inputs.map((input) => mapInput(input, (file) => links.get(file), text))
}

function mapInput(value: unknown, ofFile: (file: FileLike) => unknown, ofText: (text: string) => string): unknown {
  if (typeof value === 'string') return ofText(value)
  if (isFile(value)) return ofFile(value)
  if (Array.isArray(value)) return value.map((item) => mapInput(item, ofFile, ofText))
  if (!isPlain(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapInput(item, ofFile, ofText)]))
}

/** The request without files. */
export async function prepareJob(request: SubmitRequest, prepare: Prepare): Promise<object> {
  const [input] = await prepareInputs([request.input], prepare)
  return { ...request, input }
}

/** The same for a batch; a file that several items share is uploaded once. */
export async function prepareBatch(request: SubmitBatchRequest, prepare: Prepare): Promise<object> {
  const { defaults, items } = request
  const all = [...(defaults ? [defaults] : []), ...items]
  const inputs = await prepareInputs(
    all.map(({ input }) => input ?? {}),
    prepare,
  )
  const prepared = all.map((item, at) => (item.input === undefined ? item : { ...item, input: inputs[at] }))
  return { ...request, ...(defaults ? { defaults: prepared.shift() } : {}), items: prepared }
}
