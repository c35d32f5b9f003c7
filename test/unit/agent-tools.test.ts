import { describe, expect, test } from 'vitest'
import { ApiError, NetworkError, type Artifact, type Client, type Job } from '../../src/client/client.ts'
import { showArtifact } from '../../src/mcp/artifact-content.ts'
import { refusal } from '../../src/mcp/refusals.ts'
import { inputView } from '../../src/mcp/views.ts'
import { ERRORS } from '../../src/shared/errors/service-error.ts'

/** What agents are shown of files and errors. */

const MIB = 1024 * 1024
const artifact = (media_type: string, bytes: number, hasThumbnail: boolean): Artifact => ({
  id: 'art_1',
  url: 'http://queue/file',
  name: 'file',
  media_type,
  bytes,
  sha256: '',
  width: null,
  height: null,
  duration: null,
  thumbnail_url: hasThumbnail ? 'http://queue/small' : null,
  location: null,
  expires_at: null,
})
const jobWith = (...artifacts: Artifact[]): Job =>
  ({ id: 'job_1', status: 'succeeded', input: {}, output: 'text', cost: null, artifacts }) as unknown as Job

const signal = new AbortController().signal
const show = async (job: Job, wanted?: string) => {
  const client: Pick<Client, 'download'> = {
    download: async (file) => Buffer.from(typeof file === 'string' ? file : file.url),
  }
  return showArtifact(client, job, { artifact: wanted, account: null, signal })
}

describe('an artifact', () => {
  test.each([
    ['a small picture', artifact('image/png', MIB, true), ['image/png', 'http://queue/file']],
    ['a picture that is too large', artifact('image/png', MIB + 1, true), ['image/webp', 'http://queue/small']],
    ['a picture that models do not read', artifact('image/avif', 10, true), ['image/webp', 'http://queue/small']],
    ['a large picture without a thumbnail', artifact('image/gif', 5 * MIB, false), null],
    ['a drawing', artifact('image/svg+xml', 10, false), null],
    ['a video', artifact('video/mp4', 10, false), null],
  ])('%s', async (_name, file, picture) => {
    const { content } = await show(jobWith(file))
    const [text, ...rest] = content
    expect(text?.type).toBe('text')
    expect(rest.at(-1)).toMatchObject({ type: 'resource_link', uri: file.url, mimeType: file.media_type })
    const images = rest.slice(0, -1)
    expect(images).toEqual(
      picture === null
        ? []
        : [{ type: 'image', mimeType: picture[0], data: Buffer.from(picture[1] ?? '').toString('base64') }],
    )
  })

  test('that does not exist: which there are, or what to do instead', async () => {
    const textOf = async (job: Job, wanted?: string): Promise<unknown> => {
      const { isError, content } = await show(job, wanted)
      expect(isError).toBe(true)
      const [first] = content
      return first?.type === 'text' ? (JSON.parse(first.text) as { what_to_do: string }).what_to_do : null
    }
    expect(await textOf(jobWith(artifact('image/png', 1, false)), 'art_2')).toBe('Use one of art_1.')
    expect(await textOf(jobWith())).toContain('Read its output with get')
    expect(await textOf({ ...jobWith(), status: 'processing', output: null })).toContain('Call wait')
  })
})

describe('an error', () => {
  const of = (error: unknown): Record<string, unknown> => {
    const { isError, content } = refusal(error)
    expect(isError).toBe(true)
    const [first] = content
    return JSON.parse(first?.type === 'text' ? first.text : '') as Record<string, unknown>
  }
  const problem = (code: string, status: number, more: object = {}) =>
    new ApiError({ type: '', title: '', detail: 'What is wrong.', status, code, ...more }, 7)

  test('of the API has its code, and what to do', () => {
    for (const [code, { status, retryable }] of Object.entries(ERRORS))
      expect(of(problem(code, status))).toEqual({
        code,
        message: 'What is wrong.',
        what_to_do: expect.stringMatching(/^[A-Z`].+\.$/) as unknown,
        retryable,
        retry_after: 7,
      })
    expect(of(problem('from_a_newer_release', 503))).toMatchObject({ retryable: true, what_to_do: 'Try again later.' })
  })

  test('names the fields, and credits instead of micro-credits', () => {
    const errors = [{ pointer: '/input/a', code: 'unknown_field', detail: 'Unknown field.' }]
    expect(of(problem('invalid_request', 422, { errors }))).toMatchObject({
      errors: [{ pointer: '/input/a', detail: 'Unknown field.' }],
    })
    expect(of(problem('insufficient_credits', 402, { missing: 2_500_000 }))).toMatchObject({ missing: 2.5 })
  })

  test('of a lost connection names the key with which to repeat the submission', () => {
    const lost = new NetworkError(new Error('refused'))
    lost.idempotencyKey = 'key'
    expect(of(lost)).toMatchObject({ code: 'unreachable', retryable: true, idempotency_key: 'key' })
  })

  test('that is none of the service is not answered here', () => {
    const bug = new TypeError('x is not a function')
    expect(() => refusal(bug)).toThrow(bug)
  })
})

test('an input is shown with its long texts shortened', () => {
  const long = 'x'.repeat(1001)
  expect(inputView({ a: long, b: [long, 1, null], c: { d: 'short' } })).toEqual({
    a: `${'x'.repeat(1000)}…`,
    b: [`${'x'.repeat(1000)}…`, 1, null],
    c: { d: 'short' },
  })
})
