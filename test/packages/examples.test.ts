import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { beforeAll, describe, expect, test } from 'vitest'
import { createClient, type Client } from '../../src/client/client.ts'
import { buildClient } from '../../tools/packaging/build.ts'
import { stageClient } from '../../tools/packaging/pack.ts'
import { launchBrowser } from '../support/browser.ts'
import { programsOf } from '../support/guide-programs.ts'
import { findFlask, findPython } from '../support/find-python.ts'
import { freePort } from '../support/free-port.ts'
import { noisyPicture } from '../support/picture.ts'
import { freshPrefix, testRedisUrl } from '../support/redis.ts'
import { spawnNode, spawnProcess, type SpawnedProcess } from '../support/spawn-process.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { tempDir } from '../support/temp-dir.ts'
import { waitFor } from '../support/wait-for.ts'

/** The five products of examples/ and the programs of docs/guides, each with the published form of its client. */

const ROOT = join(import.meta.dirname, '../..')

let service: TestService
/** A copy of examples/ in which `@genqueue/client` is installed. */
let examples: string
/** Where a page may be served that talks to the service. */
let pagePort: number
beforeAll(async () => {
  const folder = tempDir()
  pagePort = await freePort()
  const build = join(folder, 'build')
  const [started] = await Promise.all([
    startService({ simulator: { speed: 60 }, env: { CORS_ORIGINS: `http://127.0.0.1:${pagePort}` } }),
    buildClient(build),
  ])
  stageClient(build, join(folder, 'node_modules/@genqueue/client'))
  for (const name of ['express', 'bullmq'])
    symlinkSync(join(ROOT, 'node_modules', name), join(folder, 'node_modules', name))
  service = started
  examples = folder
  cpSync(join(ROOT, 'examples'), examples, { recursive: true })
  return () => started.stop()
})

interface Product {
  /** Answers the status and the parsed body. */
  ask(method: string, path: string, body?: object | Blob, headers?: Record<string, string>): Promise<[number, Answer]>
  process: SpawnedProcess
}
// oxlint-disable-next-line typescript/no-explicit-any
type Answer = Record<string, any>

const settings = (): Record<string, string> => ({ GENQUEUE_URL: service.url, GENQUEUE_API_KEY: TEST_KEY })

async function start(name: string, env: Record<string, string> = {}): Promise<Product> {
  const port = String(await freePort())
  const cwd = join(examples, name)
  const all = { ...settings(), PORT: port, ...env }
  const process =
    python && name in PYTHON
      ? spawnProcess(python.file, ['server.py'], {
          cwd,
          env: { ...all, ...python.env, PYTHONPATH: join(ROOT, 'clients/python/src'), PYTHONDONTWRITEBYTECODE: '1' },
        })
      : spawnNode('server.ts', [], { cwd, env: all })
  const [url] = await process.waitForLine(/http:\S+(?=\/\w+$)/)
  return {
    process,
    async ask(method, path, body, headers = {}) {
      const content = body instanceof Blob ? body : body && JSON.stringify(body)
      const response = await fetch(url + path, { method, headers, ...(content === undefined ? {} : { body: content }) })
      return [response.status, (await response.json()) as Answer]
    },
  }
}

const python = await findPython()
const flask = python && (await findFlask(python))
const PYTHON = { 'story-book': true, 'script-station': true }

const until = (
  what: string,
  look: () => Promise<[number, Answer]>,
  isThere: (answer: Answer) => boolean,
): Promise<Answer> =>
  waitFor(what, async () => {
    const [, answer] = await look()
    return isThere(answer) && answer
  })

if (python) {
  test('story book: pages in parallel, shown as they arrive, or waited for', async () => {
    const { ask } = await start('story-book')
    const pages = ['the cover: a fox', 'the fox finds a boat', 'the fox sails']
    const [accepted, { id, total }] = await ask('POST', '/books', { pages })
    expect([accepted, total]).toEqual([202, 3])
    const book = await until(
      'the book',
      () => ask('GET', `/books/${id}`),
      ({ status }) => status === 'succeeded',
    )
    expect(book).toMatchObject({ done: 3, pages: [{ page: 0 }, { page: 1 }, { page: 2 }] })
    const picture = await fetch((book['pages'] as { picture: string }[])[0]?.picture ?? '')
    expect(picture.headers.get('content-type')).toBe('image/webp')

    const [waited, whole] = await ask('POST', '/books', { pages: ['a fox'], async: false })
    expect([waited, whole['status'], whole['done']]).toEqual([200, 'succeeded', 1])
    expect((await ask('POST', '/books', { pages: [''] }))[0]).toBe(422)
    expect((await ask('GET', '/books/bat_01JQ8ZK3V9C4T2M7X5R1B6N0PD'))[0]).toBe(404)
  })

  test('script station: records that a restart brings up to date', async () => {
    const database = { DATABASE: join(tempDir(), 'station.db') }
    let station = await start('script-station', database)
    const order = { type: 'video_outline', input: { prompt: 'How lighthouses work' }, user_id: 'u-17' }
    const [, { jobId }] = await station.ask('POST', '/jobs', order)
    const [, { jobId: second }] = await station.ask('POST', '/jobs', { ...order, type: 'title_generation' })
    const isDone = ({ status }: Answer): boolean => status === 'succeeded'
    const record = await until('the outline', () => station.ask('GET', `/jobs/${jobId}`), isDone)
    expect(record).toMatchObject({ type: 'video_outline', user_id: 'u-17', error: null })
    expect(String(record['output']).length).toBeGreaterThan(100)
    expect(JSON.parse(String(record['input_payload']))).toEqual(order.input)

    // While it is away a job ends, of which it reads when it is back.
    const [, { jobId: third }] = await station.ask('POST', '/jobs', order)
    await station.process.kill('SIGKILL')
    const [newest] = (await service.client.list({ user: 'u-17' })).data
    await service.client.wait(newest?.id ?? '')
    station = await start('script-station', database)
    for (const id of [second, third]) await until('the others', () => station.ask('GET', `/jobs/${id}`), isDone)
    expect((await station.ask('POST', '/jobs', { ...order, type: 'poem' }))[0]).toBe(422)
  })
}

test('photo restoration: orders that are kept, mailed and cured', async () => {
  const data = { DATA: join(tempDir(), 'data') }
  const photo = new Blob([await noisyPicture(16)], { type: 'image/png' })
  const customer = { 'content-type': 'image/png', 'x-email': 'ada@example.com' }
  let product = await start('photo-restoration', data)
  const [accepted, { id }] = await product.ask('POST', '/orders', photo, customer)
  expect(accepted).toBe(202)
  const done = await until(
    'the order',
    () => product.ask('GET', `/orders/${id}`),
    ({ status }) => status === 'done',
  )
  expect(done).toMatchObject({ email: 'ada@example.com', picture: expect.stringMatching(/\.png$/) as string })
  await product.process.waitForLine(/mail to ada@example\.com: Your photograph is restored\./)

  await service.simulator.faults({ predictions: { fail: { next: 1, error: 'no inspiration' } } })
  const [, broken] = await product.ask('POST', '/orders', photo, customer)
  const ask = (): Promise<[number, Answer]> => product.ask('GET', `/orders/${broken['id']}`)
  expect(await until('the failure', ask, ({ status }) => status === 'failed')).toMatchObject({
    problem: 'no inspiration',
  })
  await product.process.kill('SIGKILL')
  product = await start('photo-restoration', data)
  await product.ask('POST', `/orders/${broken['id']}/cure`)
  expect(await until('the cure', ask, ({ status }) => status === 'done')).toMatchObject({ attempts: 2 })
  const [, figures] = await product.ask('GET', '/dashboard')
  expect(figures).toMatchObject({ orders: 2, open: [], success_rate: 1, median_seconds: expect.any(Number) as number })

  const text = new Blob(['no picture'], { type: 'image/png' })
  const [refused, reason] = await product.ask('POST', '/orders', text, customer)
  expect([refused, reason['error']]).toEqual([415, 'unsupported_media_type'])
})

describe('lip sync', () => {
  const picture = async (): Promise<string> => `data:image/png;base64,${(await noisyPicture(8)).toString('base64')}`
  /** A second of silence, in WAV. */
  const sound = (): string => {
    const header = Buffer.from('524946462c1f000057415645666d7420', 'hex')
    const format = Buffer.from('1000000001000100401f0000401f00000100080064617461081f0000', 'hex')
    return `data:audio/wav;base64,${Buffer.concat([header, format, Buffer.alloc(7944, 128)]).toString('base64')}`
  }

  test('is held for, watched with a token, and captured; or waited for', async () => {
    const { ask } = await start('lip-sync')
    const body = { imageUrl: await picture(), audioUrl: sound() }
    const [accepted, order] = await ask('POST', '/videos', body)
    expect([accepted, order['credits']]).toEqual([202, { held: 19_860, captured: null }])
    const { url, token } = order['watch'] as { url: string; token: string }
    const watcher: Client = createClient({ baseUrl: url, key: token })
    const seen: (number | null)[] = []
    for await (const job of watcher.stream(String(order['id']))) seen.push(job.progress)
    expect(seen.at(-1)).toBe(1)
    const [, video] = await ask('GET', `/videos/${order['id']}`)
    expect(video).toMatchObject({ status: 'succeeded', canTryAgain: false, credits: { held: 0 } })
    expect((await fetch(String(video['video']))).headers.get('content-type')).toBe('video/mp4')

    await service.simulator.faults({ predictions: { fail: { next: 1, error: 'no face' } } })
    const [waited, failed] = await ask('POST', '/videos', { ...body, pollForCompletion: true })
    expect([waited, failed]).toMatchObject([
      200,
      { status: 'failed', problem: 'no face', canTryAgain: true, credits: { held: 0, captured: 0 } },
    ])
    const [, again] = await ask('POST', `/videos/${failed['id']}/again`)
    expect((await service.client.wait(String(again['id']))).status).toBe('succeeded')
  })
})

test('training images: a function that keeps nothing', async () => {
  Object.assign(process.env, settings())
  const { handler } = (await import(pathToFileURL(join(examples, 'training-images/handler.ts')).href)) as {
    handler(event: object): Promise<{ statusCode: number; body: string }>
  }
  const call = async (method: string, rawPath: string, body?: object): Promise<[number, Answer]> => {
    const event = { rawPath, requestContext: { http: { method } }, ...(body ? { body: JSON.stringify(body) } : {}) }
    const { statusCode, body: text } = await handler(event)
    return [statusCode, JSON.parse(text) as Answer]
  }
  await service.simulator.faults({ predictions: { fail: { next: 1, error: 'no inspiration' } } })
  const prompts = ['at a window', 'in the rain', 'with a lamp', 'on a roof']
  const [accepted, { id }] = await call('POST', '/sets', { character: 'Zoe', prompts })
  expect(accepted).toBe(202)
  const set = await until(
    'the set',
    () => call('GET', `/sets/${id}`),
    ({ progress }) => progress === 1,
  )
  expect(set).toMatchObject({ status: 'partial', success_rate: 0.75, counts: { succeeded: 3, failed: 1 } })
  expect(set['images']).toHaveLength(3)
  const [, { id: second }] = await call('POST', `/sets/${id}/retry`)
  await until(
    'the retry',
    () => call('GET', `/sets/${second}`),
    ({ status }) => status === 'succeeded',
  )
  expect((await call('GET', '/sets/bat_01JQ8ZK3V9C4T2M7X5R1B6N0PD'))[0]).toBe(404)
})

/** Writes the programs of a guide into a folder of the examples. */
function typed(guide: string): string {
  const folder = join(examples, `guide-${guide}`)
  for (const [file, block] of programsOf(guide)) {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    writeFileSync(join(folder, file), block)
  }
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  return folder
}

describe('the guide', () => {
  const serve = async (guide: string, port: number): Promise<string> => {
    const cwd = typed(guide)
    const modules = join(cwd, 'node_modules')
    if (!existsSync(modules)) symlinkSync(join(examples, 'node_modules'), modules)
    const server = spawnNode('server.ts', [], { cwd, env: { ...settings(), PORT: String(port) } })
    const [url] = await server.waitForLine(/^http:\S+$/)
    return url
  }

  test('express.md: own routes, and a proxy for pages', async () => {
    const url = await serve('express', await freePort())
    const send = (path: string, body: object): Promise<Response> =>
      fetch(url + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
    const [first, second] = await Promise.all(
      [1, 2].map(async () => (await (await send('/pages', { prompt: 'a fox', order: 7 })).json()) as Answer),
    )
    expect(second?.['id']).toBe(first?.['id'])
    const page = await until(
      'the page',
      async () => [200, (await (await fetch(`${url}/pages/${first?.['id']}`)).json()) as Answer],
      ({ picture }) => picture !== null,
    )
    expect(page['status']).toBe('succeeded')
    const refused = await send('/pages', { order: 8 })
    expect([refused.status, await refused.json()]).toMatchObject([422, { error: 'invalid_request' }])

    const asUser =
      (user: string): typeof fetch =>
      (input, init) => {
        const headers = new Headers(init?.headers)
        headers.set('x-user', user)
        return fetch(input, { ...init, headers })
      }
    const [ada, bob] = ['ada', 'bob'].map((user) =>
      createClient({ baseUrl: `${url}/api/genqueue`, fetch: asUser(user) }),
    )
    const job = await ada?.run({ preset: 'story-page', input: { prompt: 'a fox' } })
    expect(job).toMatchObject({ status: 'succeeded', user: 'ada' })
    await expect(bob?.get(job?.id ?? '')).rejects.toMatchObject({ status: 404 })
    await expect(ada?.submit({ preset: 'lip-sync', input: {} })).rejects.toMatchObject({ status: 422 })
  })

  test('next.md: a route handler that passes on', async () => {
    Object.assign(process.env, settings())
    const file = join(typed('next'), 'app/api/genqueue/[...path]/route.ts')
    const { POST, GET } = (await import(pathToFileURL(file).href)) as Record<
      'GET' | 'POST',
      (request: Request) => Promise<Response>
    >
    const ask = (path: string, init: RequestInit = {}): Request => {
      const headers = new Headers(init.headers)
      headers.set('x-user', 'ada')
      return new Request(`http://app.example/api/genqueue${path}`, { ...init, headers })
    }
    const form = new FormData()
    form.append('file', new Blob([await noisyPicture(8)], { type: 'image/png' }), 'photo.png')
    const uploaded = await POST(ask('/v1/uploads', { method: 'POST', body: form }))
    const { url } = (await uploaded.json()) as { url: string }
    const body = JSON.stringify({ preset: 'restore-image', input: { input_image: url } })
    const submitted = await POST(
      ask('/v1/jobs', { method: 'POST', body, headers: { 'content-type': 'application/json' } }),
    )
    const { id } = (await submitted.json()) as { id: string }
    expect((await service.client.wait(id)).user).toBe('ada')
    expect(((await (await GET(ask(`/v1/jobs/${id}`))).json()) as Answer)['status']).toBe('succeeded')
    expect((await GET(new Request(`http://app.example/api/genqueue/v1/jobs/${id}`))).status).toBe(401)
  })

  test('browser.md: a page of another origin follows its job', async () => {
    const url = await serve('browser', pagePort)
    const browser = await launchBrowser()
    const page = await browser.newPage()
    await page.goto(url)
    await page.getByRole('button').click()
    const picture = page.getByRole('img', { name: 'A fox' })
    await picture.waitFor()
    expect(await page.getByRole('status').textContent()).toBe('succeeded')
    await expect
      .poll(() => picture.evaluate((image: { naturalWidth: number }) => image.naturalWidth))
      .toBeGreaterThan(0)
    await browser.close()
  })

  test('lambda.md: shows the example', () => {
    const handler = readFileSync(join(typed('lambda'), 'handler.ts'), 'utf8')
    expect(handler).toBe(readFileSync(join(ROOT, 'examples/training-images/handler.ts'), 'utf8'))
  })

  test('from-a-polling-loop.md: runs and saves the picture', async () => {
    const cwd = typed('from-a-polling-loop')
    const ran = spawnNode('after.ts', [], { cwd, env: settings() })
    expect(await ran.exited, ran.stderr).toMatchObject({ code: 0 })
    expect(readFileSync(join(cwd, 'fox.webp')).subarray(0, 4).toString()).toBe('RIFF')
    expect(ran.stdout).toMatch(/succeeded\n$/)
  })

  test('from-a-bullmq-worker.md: an order of an own queue', async () => {
    const env = { ...settings(), REDIS_URL: testRedisUrl(), PREFIX: freshPrefix() }
    const ran = spawnNode('after.ts', [], { cwd: typed('from-a-bullmq-worker'), env })
    expect(await ran.exited, ran.stderr).toMatchObject({ code: 0 })
    expect(ran.stdout).toMatch(/^\[ '?http\S+ \]$|http/)
  })

  if (python && flask !== null)
    test('flask.md: a book, a cover, and a refusal', async () => {
      const port = String(await freePort())
      const path = [join(ROOT, 'clients/python/src'), flask].join(':')
      const app = spawnProcess(python.file, ['-m', 'flask', 'run', '--port', port], {
        cwd: typed('flask'),
        env: { ...settings(), ...python.env, PYTHONPATH: path, PYTHONDONTWRITEBYTECODE: '1' },
      })
      await app.waitForLine(/Running on http/)
      const url = `http://127.0.0.1:${port}`
      const send = async (to: string, body: object): Promise<[number, Answer]> => {
        const headers = { 'content-type': 'application/json' }
        const response = await fetch(url + to, { method: 'POST', headers, body: JSON.stringify(body) })
        return [response.status, (await response.json()) as Answer]
      }
      const [accepted, { id }] = await send('/books', { pages: ['the cover', 'the boat'] })
      expect(accepted).toBe(202)
      const ask = async (): Promise<[number, Answer]> => [
        200,
        (await (await fetch(`${url}/books/${id}`)).json()) as Answer,
      ]
      const book = await until('the book', ask, ({ progress }) => progress === 1)
      expect(book['pictures']).toEqual([expect.stringMatching(/^http/), expect.stringMatching(/^http/)])
      expect(await send('/cover', { prompt: 'a fox' })).toMatchObject([
        200,
        { picture: expect.stringMatching(/^http/) as string },
      ])
      expect(await send('/cover', { prompt: '' })).toMatchObject([422, { error: 'invalid_request' }])
    })
})
