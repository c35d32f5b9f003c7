import { execFileSync } from 'node:child_process'
import { closeSync, constants, openSync, readFileSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createLogSink } from '../../src/shared/process/log-sink.ts'
import { tempDir } from '../support/temp-dir.ts'
import { waitFor } from '../support/wait-for.ts'

function opened(path: string, flags: number): number {
  const fd = openSync(path, flags)
  onTestFinished(() => closeSync(fd))
  return fd
}

/** A pipe of which both ends are ours, and which never makes anybody wait. */
function pipe() {
  const path = join(tempDir(), 'pipe')
  execFileSync('mkfifo', [path])
  const fd = opened(path, constants.O_RDWR | constants.O_NONBLOCK)
  return {
    fd,
    take(): string {
      const buffer = Buffer.alloc(1024 * 1024)
      try {
        return buffer.toString('utf8', 0, readSync(fd, buffer))
      } catch {
        return ''
      }
    },
  }
}

const sinkTo = (fd: number, maxBytes = 1_000_000) =>
  createLogSink({ fd, maxBytes, onDropped: (lines) => `dropped ${lines}\n` })

/** Counts the ms for which the thread is blocked on purpose: those of a busy machine are none of them. */
function waits(): () => number {
  const wait = vi.spyOn(Atomics, 'wait')
  onTestFinished(() => wait.mockRestore())
  return () => wait.mock.calls.reduce((sum, [, , , ms = Infinity]) => sum + ms, 0)
}

test('lines reach a file whole and in order, also those that are left at the end', async () => {
  const path = join(tempDir(), 'log')
  const sink = sinkTo(opened(path, constants.O_WRONLY | constants.O_CREAT))
  const lines = Array.from({ length: 2000 }, (_, i) => `line ${i} ü\n`)
  for (const line of lines.slice(0, 1500)) sink.write(line)
  await waitFor('the lines', () => readFileSync(path, 'utf8').length === lines.slice(0, 1500).join('').length)
  sink.write('the last')
  await waitFor('the last line', () => readFileSync(path, 'utf8').endsWith('the last'))
  expect(readFileSync(path, 'utf8')).toBe(`${lines.slice(0, 1500).join('')}the last`)
  sink.flush(0)
})

test('lines of two writers to one full pipe do not mix', async () => {
  const { fd, take } = pipe()
  const sinks = ['a', 'b'].map((name) => {
    const sink = createLogSink({ fd, maxBytes: 1_000_000, maxWrite: 4096, onDropped: (lines) => `dropped ${lines}\n` })
    return { name, sink }
  })
  const COUNT = 2000
  for (let i = 0; i < COUNT; i++) for (const { name, sink } of sinks) sink.write(`${name}${i} ${name.repeat(100)}\n`)
  let text = ''
  await waitFor('all lines', () => (text += take()).split('\n').length > 2 * COUNT)
  for (const { name } of sinks) {
    const lines = text.split('\n').filter((line) => line.startsWith(name))
    expect(lines).toEqual(Array.from({ length: COUNT }, (_, i) => `${name}${i} ${name.repeat(100)}`))
  }
})

test('a full pipe blocks no caller, buffers up to its limit, and reports the dropped lines when it is read again', async () => {
  const { fd, take } = pipe()
  const sink = sinkTo(fd, 200_000)
  // A write that blocked would never return: nobody reads.
  for (let i = 0; i < 5000; i++) sink.write(`${String(i).padStart(5, '0')} ${'x'.repeat(100)}\n`)
  let text = ''
  await waitFor('what was kept, and the number of the others', () => {
    text += take()
    return text.includes('dropped')
  })
  const lines = text.trim().split('\n')
  const kept = lines.filter((line) => line.endsWith('x'))
  expect(kept.map((line) => Number(line.slice(0, 5)))).toEqual(kept.map((_line, i) => i))
  // What the pipe held, and what waited.
  expect(text.length).toBeLessThan(400_000)
  expect(lines).toContain(`dropped ${5000 - kept.length}`)
  sink.write('and on\n')
  await waitFor('the next line', () => take() === 'and on\n')
})

test('the last lines are written within the time limit, if they are read', () => {
  const { fd, take } = pipe()
  const heard = sinkTo(fd)
  heard.write('one\n')
  heard.write('two\n')
  heard.flush(100)
  expect(take()).toContain('two\n')
  const unheard = sinkTo(fd)
  for (let i = 0; i < 5000; i++) unheard.write('x'.repeat(100))
  const begun = performance.now()
  const waited = waits()
  unheard.flush(200)
  expect(performance.now() - begun).toBeGreaterThan(150)
  expect(waited()).toBeLessThanOrEqual(250)
})

test('a reader that is gone for good is written to no more', () => {
  const fd = openSync(join(tempDir(), 'log'), constants.O_WRONLY | constants.O_CREAT)
  const sink = sinkTo(fd)
  closeSync(fd)
  sink.write('one\n')
  const waited = waits()
  sink.flush(5000)
  sink.write('two\n')
  sink.flush(5000)
  expect(waited()).toBe(0)
})
