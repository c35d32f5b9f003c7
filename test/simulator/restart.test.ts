import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { startSimulator } from '../../src/simulator/start-simulator.ts'
import { spawnNode } from '../support/spawn-process.ts'
import { waitFor } from '../support/wait-for.ts'
import { bytesAt, damagedPhoto, hostFor } from './support/media.ts'
import {
  callsTo,
  finished,
  FLUX,
  GEMINI,
  RESTORE,
  simulatorFor,
  temporaryFolder,
  withCalls,
} from './support/simulator.ts'
import { isOver, webhookReceiver } from './support/webhook-receiver.ts'

const MAIN = fileURLToPath(new URL('../../src/simulator/main.ts', import.meta.url))

async function spawnSimulator(...flags: string[]) {
  const child = spawnNode(MAIN, flags)
  const [, url = ''] = await child.waitForLine(/(http:\/\/127\.0\.0\.1:\d+)\/v1$/)
  return { child, url, ...callsTo(url) }
}

describe('kill -9', () => {
  test('runs resume by their created_at, pending webhooks arrive, the books are continuous', async () => {
    const [folder, receiver] = [temporaryFolder(), await webhookReceiver()]
    const first = await spawnSimulator('--port', '0', '--data', folder, '--speed', '20')
    const webhook = { webhook: receiver.url, webhook_events_filter: ['start', 'completed'] }
    const short = await first.post(FLUX, { input: { prompt: 'a boat', seed: 5 }, ...webhook })
    await receiver.completed(short.body.id)
    receiver.answer = { status: 503 }
    const owed = await first.post(FLUX, { input: { prompt: 'owed' }, ...webhook })
    await receiver.next((one) => isOver(one) && one.body.id === owed.body.id)
    const long = await first.post(GEMINI, { input: { prompt: 'bees' }, ...webhook })
    await receiver.next((one) => one.body.id === long.body.id)
    const secret = (await first.get('webhooks/default/secret')).body.key
    const { body: before } = await first.get(`predictions/${short.body.id}`)
    const books = await first.books()
    await first.child.kill('SIGKILL')
    receiver.answer = { status: 200 }
    const heard = receiver.received.length

    const second = await spawnSimulator('--port', '0', '--data', folder, '--speed', '20')
    expect((await second.get('webhooks/default/secret')).body.key).toBe(secret)
    const last = await waitFor('the owed webhook', () =>
      receiver.received.slice(heard).find((one) => one.body.id === owed.body.id),
    )
    const firstTry = receiver.received.find((one) => isOver(one) && one.body.id === owed.body.id)
    expect(last.headers['webhook-id']).toBe(firstTry?.headers['webhook-id'])
    expect(last.raw).toBe(firstTry?.raw)
    const end = await waitFor('the end of the long run', () =>
      receiver.received.find((one) => isOver(one) && one.body.id === long.body.id),
    )
    expect(end.body.created_at).toBe(long.body.created_at)
    expect(end.body.metrics.predict_time).toBeLessThan(7)
    expect(receiver.received.filter((one) => !isOver(one) && one.body.id === long.body.id)).toHaveLength(1)
    const { body: after } = await second.get(`predictions/${short.body.id}`)
    expect(after.completed_at).toBe(before.completed_at)
    expect(after.logs).toBe(before.logs)
    expect((await fetch(after.output[0])).status).toBe(200)

    const now = await second.books()
    expect(now.predictions.map((one: { id: string }) => one.id)).toEqual(
      books.predictions.map((one: { id: string }) => one.id),
    )
    expect(now.counts).toMatchObject({ create_requests: 3, created: 3, gets: 2 })
    expect(now.webhooks.sent).toBeGreaterThan(books.webhooks.sent)
    expect(now.spend).toBeGreaterThan(books.spend)
    expect(await second.child.kill('SIGTERM')).toEqual({ code: 0, signal: null })
  })
})

test('kill -9 keeps uploads, credit, and runs whose inputs were being fetched', async () => {
  const [folder, photo] = [temporaryFolder(), await damagedPhoto()]
  let isSlow = true
  const host = await hostFor((_request, response) => void (isSlow ? undefined : response.end(photo)))
  const flags = ['--port', '0', '--data', folder, '--speed', '20', '--credit', '50']
  const first = await spawnSimulator(...flags)
  const form = new FormData()
  form.append('content', new Blob([new Uint8Array(photo)], { type: 'image/png' }), 'photo.png')
  const uploaded = await fetch(`${first.url}/v1/files`, {
    method: 'POST',
    headers: { authorization: 'Bearer any' },
    body: form,
  })
  const { id: file, urls } = (await uploaded.json()) as { id: string; urls: { get: string } }
  const ready = await first.post(RESTORE, { input: { input_image: urls.get, seed: 3 } })
  const waiting = await first.post(RESTORE, { input: { input_image: `${host}/photo.png` } })
  await waitFor('the start of the run whose input is there', async () => {
    const { body } = await first.get(`predictions/${ready.body.id}`)
    return body.status !== 'starting'
  })
  await first.call('DELETE', `files/${file}`)
  expect((await first.get(`predictions/${waiting.body.id}`)).body.status).toBe('starting')
  await first.child.kill('SIGKILL')

  isSlow = false
  const second = await spawnSimulator(...flags)
  const calls = { ...second, apiUrl: '', port: 0, stop: async () => undefined }
  const done = await finished(calls, ready.body.id)
  expect([done.status, done.created_at]).toEqual(['succeeded', ready.body.created_at])
  expect((await bytesAt(done.output)).length).toBeGreaterThan(1000)
  expect((await finished(calls, waiting.body.id)).status).toBe('succeeded')
  expect((await second.get(`files/${file}`)).status).toBe(404)
  expect((await second.get('/_sim/credit')).body.usd).toBe(49.92)
  await second.child.kill('SIGTERM')
})

test('a run that was due during downtime completed at its planned time', async () => {
  const folder = temporaryFolder()
  const options = { port: 0, dataDir: folder, speed: 2 }
  const first = withCalls(await startSimulator(options))
  const { body } = await first.create({ prompt: 'x' }, {}, { 'cancel-after': '5' })
  await first.post('/_sim/age', { seconds: 3590 })
  await first.stop()
  const stopped = Date.now()
  await waitFor('the planned end', () => Date.now() > stopped + 1500)
  const second = await simulatorFor({ dataDir: folder })
  const done = await finished(second, body.id)
  expect(done.status).toBe('succeeded')
  expect(Date.parse(done.completed_at)).toBeLessThan(stopped + 1500)
  const { body: clock } = await second.post('/_sim/age', { seconds: 10 })
  expect(clock.removed).toBe(1)
})

test('predictions of a removed model are still listed, and complete', async () => {
  const folder = temporaryFolder()
  const model = { name: 'acme/stamp', input_schema: {}, run_seconds: 0.2, output: { kind: 'text' } } as const
  const first = withCalls(await startSimulator({ port: 0, dataDir: folder, models: { models: [model] } }))
  const { body } = await first.post('models/acme/stamp/predictions', { input: {} })
  await first.stop()
  const second = await simulatorFor({ dataDir: folder })
  expect(await finished(second, body.id)).toMatchObject({ status: 'succeeded', model: 'acme/stamp' })
  expect((await second.get('predictions')).body.results).toHaveLength(1)
})

describe('the command', () => {
  test('names an invalid setting on stderr and exits', async () => {
    const child = spawnNode(MAIN, ['--port', 'abc'])
    expect((await child.exited).code).toBe(1)
    expect(child.stderr).toBe('simulator: --port is "abc", expected a whole number from 0 to 65535\n')
  })

  test('a busy port is named', async () => {
    const simulator = await simulatorFor()
    const second = startSimulator({ port: simulator.port, dataDir: null })
    await expect(second).rejects.toThrow(`port ${simulator.port} on 127.0.0.1 is already in use`)
  })
})
