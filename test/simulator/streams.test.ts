import { describe, expect, test } from 'vitest'
import { finished, GEMINI, simulatorFor } from './support/simulator.ts'

interface Event {
  event: string
  id: string
  data: string
}

/** Events parsed as in the standard. */
function eventsIn(text: string): Event[] {
  return text.split('\n\n').flatMap((block) => {
    if (block === '' || block.startsWith(':')) return []
    const fields = block.split('\n').map((line) => /^(\w+): ?(.*)$/s.exec(line) ?? [])
    const of = (name: string) => fields.filter(([, field]) => field === name).map(([, , value = '']) => value)
    return [{ event: of('event')[0] ?? '', id: of('id')[0] ?? '', data: of('data').join('\n') }]
  })
}

const read = async (url: string, headers: Record<string, string> = {}) => {
  const response = await fetch(url, { headers: { accept: 'text/event-stream', ...headers } })
  expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
  return response.text()
}

const outputOf = (events: Event[]) => events.flatMap(({ event, data }) => (event === 'output' ? [data] : []))

describe('urls.stream', () => {
  test('has the documented events only', async () => {
    const simulator = await simulatorFor()
    const { body } = await simulator.create({ prompt: 'x', megapixels: '0.25' })
    expect(eventsIn(await read(body.urls.stream)).map(({ event }) => event)).toEqual(['output', 'done'])
  })

  test('sends the tokens, by a habit the logs, and the completion, each with an id', async () => {
    const simulator = await simulatorFor({ habits: { stream_logs: true } })
    const { body } = await simulator.post(GEMINI, { input: { prompt: 'Write an essay about bees' } })
    expect(body.urls.stream).toMatch(new RegExp(`^${simulator.apiUrl}/streams/\\w{42}$`))
    const events = eventsIn(await read(body.urls.stream))
    const done = await finished(simulator, body.id)
    expect(outputOf(events)).toEqual(done.output)
    expect(
      events
        .filter(({ event }) => event === 'logs')
        .map(({ data }) => data)
        .join(''),
    ).toBe(done.logs)
    expect(events.at(-1)).toMatchObject({ event: 'done', data: '{}' })
    const ids = events.map(({ id }) => id.split(':').map(Number))
    expect(ids.map(([, n]) => n)).toEqual(events.map((_, n) => n))
    const begun = Math.floor(Date.parse(body.created_at) / 1000)
    for (const [seconds = 0] of ids) expect(seconds - begun).toBeLessThan(60)
  })

  test('arrives during the run', async () => {
    const simulator = await simulatorFor({ speed: 15 })
    const { body } = await simulator.post(GEMINI, { input: { prompt: 'bees' } })
    const response = await fetch(body.urls.stream)
    let parts = 0
    let text = ''
    const decoder = new TextDecoder()
    for await (const part of response.body ?? []) {
      text += decoder.decode(part, { stream: true })
      parts += 1
      if (parts > 1 && outputOf(eventsIn(text)).length > 3) break
    }
    expect(parts).toBeGreaterThan(1)
    expect((await simulator.get(`predictions/${body.id}`)).body.status).toBe('processing')
  })

  test('resumes after Last-Event-ID, and can be read again after completion', async () => {
    const simulator = await simulatorFor()
    const { body } = await simulator.post(GEMINI, { input: { prompt: 'bees' } })
    const all = eventsIn(await read(body.urls.stream))
    const half = all[Math.floor(all.length / 2)]
    const rest = eventsIn(await read(body.urls.stream, { 'last-event-id': half?.id ?? '' }))
    expect(rest).toEqual(all.slice(all.length - rest.length))
    expect(rest).toHaveLength(all.length - Math.floor(all.length / 2) - 1)
  })

  test('a failed run ends with error and done, a canceled one with its reason', async () => {
    const simulator = await simulatorFor({ speed: 30 })
    await simulator.faults({ predictions: { fail: { next: 1, error: 'out of luck (E1000)' } } })
    const failed = await simulator.post(GEMINI, { input: { prompt: 'bees', max_output_tokens: 3 } })
    expect(eventsIn(await read(failed.body.urls.stream)).slice(-2)).toMatchObject([
      { event: 'error', data: '{"detail":"out of luck (E1000)"}' },
      { event: 'done', data: '{"reason":"error"}' },
    ])
    const canceled = await simulator.post(GEMINI, { input: { prompt: 'bees' } })
    const text = read(canceled.body.urls.stream)
    await simulator.post(`predictions/${canceled.body.id}/cancel`)
    expect(eventsIn(await text).at(-1)).toMatchObject({ event: 'done', data: '{"reason":"canceled"}' })
  })

  test('pictures are sent as URLs, under the path of file streams', async () => {
    const simulator = await simulatorFor()
    const { body } = await simulator.create({ prompt: 'x', num_outputs: 2 })
    expect(body.urls.stream).toMatch(new RegExp(`^${simulator.apiUrl}/files/\\w{42}$`))
    const events = eventsIn(await read(body.urls.stream))
    expect(outputOf(events)).toEqual((await finished(simulator, body.id)).output)
  })

  test('is absent for models without events, 404 after removal, and closed after silence', async () => {
    const simulator = await simulatorFor({ habits: { stream_timeout_seconds: 0.2 } })
    const version = '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426'
    const hello = await simulator.post('predictions', { version, input: { text: 'x' } })
    expect(hello.body.urls.stream).toBeUndefined()
    await simulator.faults({ predictions: { starting_forever: { next: 1 } } })
    const silent = await simulator.create()
    expect(await read(silent.body.urls.stream)).toBe(':408: 408 Request Timeout\n\n')
    const { body } = await simulator.create()
    await finished(simulator, body.id)
    await simulator.post('/_sim/age', { seconds: 3600 })
    expect((await fetch(body.urls.stream)).status).toBe(404)
    expect((await fetch(`${simulator.apiUrl}/streams/${'x'.repeat(42)}`)).status).toBe(404)
  })

  test('faults: status, and cut after the first events', async () => {
    const simulator = await simulatorFor()
    const { body } = await simulator.post(GEMINI, { input: { prompt: 'bees' } })
    await simulator.faults({ streams: { status: { code: 500, next: 1 }, cut: { next: 1 } } })
    expect((await fetch(body.urls.stream)).status).toBe(500)
    const cut = await fetch(body.urls.stream)
    expect(cut.status).toBe(200)
    await expect(cut.text()).rejects.toThrow()
  })
})
