import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { createClient, isApiError, isFinal, type Job } from '@genqueue/client'
import { saveFile } from '@genqueue/client/node'

/**
 * The back end of a photo restoration.
 *
 * POST /orders             the photograph as its body, `x-email` names the customer -> 202 { order }
 * GET  /orders/<id>        the order
 * POST /orders/<id>/cure   tries again what failed
 * GET  /dashboard          success rate, duration, open orders
 *
 * The product keeps its orders and the finished pictures itself, here in a folder, DATA. It follows the changes of all jobs, so
 * it neither polls nor needs an address that the internet can reach.
 */

interface Order {
  id: string
  job: string
  email: string
  status: 'open' | 'done' | 'failed'
  picture: string | null
  problem: string | null
  attempts: number
  createdAt: string
  completedAt: string | null
}

const { GENQUEUE_URL = 'http://127.0.0.1:3000', GENQUEUE_API_KEY = '', DATA = 'data', PORT = '8003' } = process.env
const genqueue = createClient({ baseUrl: GENQUEUE_URL, key: GENQUEUE_API_KEY })
mkdirSync(join(DATA, 'pictures'), { recursive: true })

const book = openBook(join(DATA, 'orders.json'))
/** Jobs whose completion is being recorded. */
const recording = new Set<string>()
book.orders.forEach((order) => order.status === 'open' && void genqueue.get(order.job).then(keep, report))
genqueue.changes({
  ...(book.cursor === null ? {} : { since: book.cursor }),
  onJob: (job) => void keep(job).catch(report),
  onCursor: (cursor) => book.setCursor(cursor),
  // Changes were missed: read what is open.
  onReset: () => book.orders.forEach((one) => one.status === 'open' && void genqueue.get(one.job).then(keep, report)),
  onError: report,
})

/** Records the completion of a job, once. After a failure the order stays open, and the next start reads its job again. */
async function keep(job: Job): Promise<void> {
  const order = book.orders.find((one) => one.job === job.id)
  if (order?.status !== 'open' || !isFinal(job) || recording.has(job.id)) return
  recording.add(job.id)
  try {
    const [file] = job.artifacts
    if (job.status === 'succeeded' && file) {
      const path = join(DATA, 'pictures', `${order.id}.png`)
      await saveFile(genqueue, file, path)
      order.picture = path
      order.status = 'done'
      mail(order, 'Your photograph is restored.')
    } else {
      order.status = 'failed'
      order.problem = job.error?.message ?? job.status
    }
    order.completedAt = job.completed_at
    book.save()
  } finally {
    recording.delete(job.id)
  }
}

async function accept(request: IncomingMessage, email: string): Promise<Order> {
  const photo = new Blob([await buffer(request)], { type: request.headers['content-type'] ?? '' })
  // The client uploads the photograph. The metadata name the order, which Studio shows beside the job.
  const id = `order-${randomUUID()}`
  const job = await genqueue.submit(
    { preset: 'restore-image', input: { input_image: photo }, user: email, metadata: { order: id } },
    { idempotencyKey: id },
  )
  const order: Order = {
    id,
    job: job.id,
    email,
    status: 'open',
    picture: null,
    problem: null,
    attempts: 1,
    createdAt: job.created_at,
    completedAt: null,
  }
  book.orders.push(order)
  book.save()
  await keep(await genqueue.get(job.id))
  return order
}

/** What failed is tried again; a failed run costs the customer nothing. */
async function cure(order: Order): Promise<void> {
  if (order.status !== 'failed') return
  const job = await genqueue.retry(order.job, { idempotencyKey: `${order.id}-attempt-${order.attempts + 1}` })
  Object.assign(order, { job: job.id, status: 'open', problem: null, attempts: order.attempts + 1 })
  book.save()
  await keep(await genqueue.get(job.id))
}

function dashboard(): object {
  const ended = book.orders.filter(({ status }) => status !== 'open')
  const done = ended.filter(({ status }) => status === 'done')
  const seconds = done
    .map(({ createdAt, completedAt }) => (Date.parse(completedAt ?? createdAt) - Date.parse(createdAt)) / 1000)
    .sort((a, b) => a - b)
  return {
    orders: book.orders.length,
    open: book.orders.filter(({ status }) => status === 'open').map(({ id, createdAt }) => ({ id, createdAt })),
    success_rate: ended.length === 0 ? null : done.length / ended.length,
    median_seconds: seconds[Math.floor(seconds.length / 2)] ?? null,
  }
}

/** The worker that writes to customers stays as it was. */
function mail({ email, id }: Order, text: string): void {
  console.log(`mail to ${email}: ${text} (${id})`)
}

function report(error: unknown): void {
  console.error(error)
}

async function handle(request: IncomingMessage): Promise<[number, unknown]> {
  const [, , id, action] = (request.url ?? '').split('/')
  if (request.url === '/dashboard') return [200, dashboard()]
  if (request.method === 'POST' && request.url === '/orders')
    return [202, await accept(request, String(request.headers['x-email'] ?? ''))]
  const order = book.orders.find((one) => one.id === id)
  if (!order) return [404, { error: 'There is no such order.' }]
  if (request.method === 'POST' && action === 'cure') await cure(order)
  return [200, order]
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

const server = createServer((request, response) => {
  handle(request).then(
    ([status, body]) => send(response, status, body),
    (error: unknown) => {
      // What genqueue says of a wrong photograph is meant for the customer.
      if (isApiError(error)) send(response, error.status, { error: error.code, detail: error.message })
      else {
        report(error)
        send(response, 500, { error: 'internal' })
      }
    },
  )
})
server.listen(Number(PORT), '127.0.0.1', () => console.log(`http://127.0.0.1:${PORT}/orders`))

/** Orders and the place in the stream of changes; a product has a database for this. */
function openBook(file: string) {
  const kept: { orders: Order[]; cursor: string | null } = existsSync(file)
    ? JSON.parse(readFileSync(file, 'utf8'))
    : { orders: [], cursor: null }
  const { orders, cursor } = kept
  let place = cursor
  const save = (): void => writeFileSync(file, JSON.stringify({ orders, cursor: place }))
  const setCursor = (next: string): void => {
    place = next
    save()
  }
  return { orders, cursor, save, setCursor }
}
