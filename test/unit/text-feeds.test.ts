import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createTextFeeds } from '../../src/api/output/text-feeds.ts'
import { createLogger } from '../../src/shared/process/logger.ts'
import type { StreamPart } from '../../src/shared/replicate/relay-port.ts'
import { readEvents } from '../../src/shared/values/read-events.ts'
import { isStreamHost } from '../../src/shared/replicate/rules/stream-host.ts'
import { waitFor } from '../support/wait-for.ts'
import { oneAccount } from '../support/one-account.ts'

/** Feeds whose connections send what they are given. */
function scene(...connections: (string[] | 'open' | 'broken')[]) {
  const opened: AbortSignal[] = []
  const feeds = createTextFeeds({
    accounts: oneAccount({
      relay: {
        streamUrl: () => Promise.resolve('https://stream.replicate.com/v1/streams/x'),
        async *stream(_url, signal): AsyncGenerator<StreamPart> {
          const pieces = connections[opened.push(signal) - 1] ?? 'open'
          if (pieces === 'broken') throw new Error('broken')
          if (pieces === 'open') {
            yield { kind: 'output', text: 'open' }
            await new Promise((_resolve, reject) => {
              signal.addEventListener('abort', () => reject(new Error('aborted')))
            })
          } else for (const text of pieces) yield text === 'DONE' ? { kind: 'done' } : { kind: 'output', text }
        },
      },
    }),
    reconnectMs: 0,
    log: createLogger({ level: 'silent', readable: false }),
  })
  return { feeds, opened }
}

test('readers of one prediction share a connection, which ends with the last of them', async () => {
  const { feeds, opened } = scene('open')
  let changes = 0
  const [first, second] = [feeds.follow('p', () => changes++, 'default'), feeds.follow('p', () => undefined, 'default')]
  await waitFor('text', () => changes === 1)
  expect([first?.since(0), second?.since(2), second?.since(4), second?.since(9)]).toEqual(['open', 'en', '', ''])
  expect([first?.begins('opened'), first?.begins('op')]).toEqual([true, false])
  first?.leave()
  await turn()
  expect(opened.map(({ aborted }) => aborted)).toEqual([false])
  second?.leave()
  expect(opened.map(({ aborted }) => aborted)).toEqual([true])
  // Another follower begins with a new connection.
  feeds.follow('p', () => undefined, 'default')
  await waitFor('another connection', () => opened.length === 2)
})

test('a new connection begins again, and continues the text however it is cut', async () => {
  const { feeds } = scene('broken', ['a', 'bc'], 'broken', 'broken', ['ab', 'cd', 'ef'], ['abcdefgh', 'DONE'])
  const feed = feeds.follow('p', () => undefined, 'default')
  await waitFor('the whole text', () => feed?.length() === 8)
  expect(Array.from({ length: 10 }, (_, i) => feed?.since(i))).toEqual(
    Array.from({ length: 10 }, (_, i) => 'abcdefgh'.slice(i)),
  )
})

test('another text and one that is too long are not continued', async () => {
  const { feeds, opened } = scene(['ab'], ['ax', 'more'], ['never'])
  const feed = feeds.follow('p', () => undefined, 'default')
  await waitFor('the second connection', () => opened.length === 2)
  await turn()
  expect(feed?.since(0)).toBe('ab')
  const long = scene(['a'.repeat(1024 * 1024), 'b'])
  const whole = long.feeds.follow('p', () => undefined, 'default')
  await waitFor('a long text', () => whole?.length() === 1024 * 1024)
  await turn()
  expect(whole?.length()).toBe(1024 * 1024)
})

test('after five failures in a row there is no other connection', async () => {
  const { feeds, opened } = scene(...Array.from({ length: 5 }, () => 'broken' as const), ['never'])
  const feed = feeds.follow('p', () => undefined, 'default')
  await waitFor('all connections', () => opened.length === 5)
  await turn()
  await turn()
  expect([opened.length, feed?.length()]).toEqual([5, 0])
})

test('there are at most 200', () => {
  const { feeds } = scene()
  for (let i = 0; i < 200; i++) expect(feeds.follow(String(i), () => undefined, 'default')).not.toBeNull()
  expect(feeds.follow('one more', () => undefined, 'default')).toBeNull()
  expect(feeds.follow('7', () => undefined, 'default')).not.toBeNull()
})

test('events are read however their bytes are cut', async () => {
  const text =
    'retry: 1\n\n: a comment\n\nevent: output\nid: 1:2\ndata: ä\ndata:🦊\n\nevent: done\r\ndata: {}\r\n\r\ndata: x\n\n'
  const bytes = Buffer.from(text)
  for (const size of [1, 2, 3, 7]) {
    async function* cut(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
      await turn()
    }
    const events = []
    for await (const event of readEvents(cut(), 100)) events.push(event)
    expect(events).toEqual([
      { event: 'output', data: 'ä\n🦊' },
      { event: 'done', data: '{}' },
      { event: 'message', data: 'x' },
    ])
    await expect(async () => {
      for await (const _event of readEvents(cut(), 0)) continue
    }).rejects.toThrow('more than 0 characters')
  }
})

test('streams are read at Replicate, and at the configured upstream', () => {
  const base = 'http://127.0.0.1:4010/v1'
  const right = ['https://stream.replicate.com/v1/files/x', 'https://streaming-api.svc.us.c.replicate.net/v1/streams/x']
  const wrong = ['http://stream.replicate.com/x', 'https://replicate.com.example.com/x', 'http://127.0.0.1:4011/x', 'x']
  expect([...right, 'http://127.0.0.1:4010/v1/streams/x'].filter((url) => !isStreamHost(url, base))).toEqual([])
  expect(wrong.filter((url) => isStreamHost(url, base))).toEqual([])
})
