import { createServer, type IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import { createClient, isApiError, isFinal, type Job } from '@genqueue/client'

/**
 * The back end of a lip sync: a picture and a recording become a video, for credits.
 *
 * POST /videos              { imageUrl, audioUrl, prompt, pollForCompletion } -> { id, status, watch: { url, token } }
 * GET  /videos/<id>         the video, its status and what it cost
 * POST /videos/<id>/again   tries again
 *
 * The hold is taken when the job is accepted, captured when it succeeds and released when it fails, all by genqueue. A page
 * watches with the token, which opens this job alone, so the user may leave and come back.
 */

interface Order {
  imageUrl: string
  audioUrl: string
  prompt?: string
  pollForCompletion?: boolean
}

const { GENQUEUE_URL = 'http://127.0.0.1:3000', GENQUEUE_API_KEY = '', PORT = '8004' } = process.env
const genqueue = createClient({ baseUrl: GENQUEUE_URL, key: GENQUEUE_API_KEY })
/** ms; after that the caller asks again. */
const PATIENCE_MS = 600_000

const view = (job: Job) => ({
  id: job.id,
  status: job.status,
  progress: job.progress,
  video: job.artifacts[0]?.url ?? null,
  problem: job.error?.message ?? null,
  canTryAgain: isFinal(job) && job.status !== 'succeeded',
  credits: job.cost && { held: job.cost.held, captured: job.cost.captured },
})

async function order({ imageUrl, audioUrl, prompt, pollForCompletion = false }: Order): Promise<[number, object]> {
  // Data URIs are taken as they are: genqueue stores them and hands them to Replicate as files.
  const job = await genqueue.submit({
    preset: 'lip-sync',
    input: { image: imageUrl, audio: audioUrl, ...(prompt === undefined ? {} : { prompt }) },
  })
  if (!pollForCompletion) return [202, await withToken(job)]
  try {
    return [200, view(await genqueue.wait(job.id, { timeout: PATIENCE_MS }))]
  } catch (error) {
    if (error instanceof DOMException && error.name === 'TimeoutError') return [202, await withToken(job)]
    throw error
  }
}

/** With what a page needs to watch it: `useJob(id, { baseUrl, token })` of `@genqueue/client/react`, or an EventSource. */
async function withToken(job: Job): Promise<object> {
  const { token } = await genqueue.jobToken(job.id, 3600)
  return { ...view(job), watch: { url: GENQUEUE_URL, token } }
}

async function handle(request: IncomingMessage): Promise<[number, object]> {
  const [, , id = '', action] = (request.url ?? '').split('/')
  if (request.method === 'POST' && request.url === '/videos') {
    const body: Order = JSON.parse(await text(request))
    return order(body)
  }
  if (request.method === 'POST' && action === 'again') return [202, await withToken(await genqueue.retry(id))]
  return [200, view(await genqueue.get(id))]
}

const server = createServer((request, response) => {
  const send = (status: number, body: object): void =>
    void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  handle(request).then(
    ([status, body]) => send(status, body),
    (error: unknown) => {
      // 402 insufficient_credits, a wrong picture, an unknown id.
      if (isApiError(error)) send(error.status, { error: error.code, detail: error.message })
      else {
        console.error(error)
        send(500, { error: 'internal' })
      }
    },
  )
})
server.listen(Number(PORT), '127.0.0.1', () => console.log(`http://127.0.0.1:${PORT}/videos`))
