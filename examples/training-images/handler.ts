import { createClient, isApiError } from '@genqueue/client'

/**
 * A Lambda function (HTTP API, payload 2.0) for sets of training images.
 *
 * POST /sets             { character, prompts } -> 202 { id }
 * GET  /sets/<id>        counts, success rate, and the images that are there
 * POST /sets/<id>/retry  tries again those that failed, in a set of the same names
 *
 * It keeps no table and never waits: genqueue has the set, its jobs and their order, and stores the images. With S3_BUCKET and the
 * preset's `key_pattern: training-images/{batch}/{metadata.character}_training_{index:02}.{ext}` they lie in your own bucket.
 */

interface Event {
  rawPath: string
  requestContext: { http: { method: string } }
  body?: string
}

interface Answer {
  statusCode: number
  headers: Record<string, string>
  body: string
}

const { GENQUEUE_URL = 'http://127.0.0.1:3000', GENQUEUE_API_KEY = '' } = process.env
const genqueue = createClient({ baseUrl: GENQUEUE_URL, key: GENQUEUE_API_KEY })

async function create(character: string, prompts: string[]): Promise<object> {
  const { id } = await genqueue.batch({
    preset: 'training-image',
    defaults: { metadata: { character } },
    items: prompts.map((prompt) => ({ input: { prompt: `${character}, ${prompt}` } })),
  })
  return { id }
}

async function show(id: string): Promise<object> {
  const { status, counts, retry_of } = await genqueue.getBatch(id)
  const images: object[] = []
  for await (const { position, artifacts, prediction_id } of genqueue.batchJobs(id, { links: 'lasting', limit: 100 }))
    for (const { name, url, location } of artifacts)
      images.push({ position, name, url: location ?? url, prediction_id })
  const ended = counts.succeeded + counts.failed + counts.canceled
  return {
    id,
    status,
    counts,
    images,
    retry_of,
    progress: ended / counts.total,
    success_rate: ended === 0 ? null : counts.succeeded / ended,
  }
}

export async function handler({ rawPath, requestContext, body }: Event): Promise<Answer> {
  const [, , id = '', action] = rawPath.split('/')
  try {
    if (requestContext.http.method === 'GET') return answer(200, await show(id))
    if (action === 'retry') return answer(202, { id: (await genqueue.retryBatch(id)).id })
    const { character, prompts }: { character: string; prompts: string[] } = JSON.parse(body ?? '{}')
    return answer(202, await create(character, prompts))
  } catch (error) {
    if (!isApiError(error)) throw error
    return answer(error.status, { error: error.code, detail: error.message })
  }
}

const answer = (statusCode: number, value: object): Answer => ({
  statusCode,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(value),
})
