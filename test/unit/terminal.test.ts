import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { createLiveLines } from '../../src/cli/live-lines.ts'
import { endOf, printBatch, printJob } from '../../src/cli/print-job.ts'
import { printRecords } from '../../src/cli/print-records.ts'
import { note, noteText, printJson, writeLine, writeText } from '../../src/cli/terminal.ts'
import type { Batch, Job } from '../../src/client/types.ts'
import { visible, visibleInside } from '../../src/shared/values/visible.ts'

/** What a model, Replicate or another user says cannot act on the terminal of the person who reads it. */

const ACTIVE = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u
const anyText = fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)) })
const hostileText = fc
  .array(fc.constantFrom('\u001B', '\u009B', '\u007F', '\u202E', '\u2066', '\r', '\n', '\t', '\b', '\\', '"', 'u', 'a'))
  .map((parts) => parts.join(''))

/** Clears the screen, sets the title, writes to the clipboard, turns the direction: each by another kind of character. */
const HOSTILE = 'a\u001B[2J\u001B]0;title\u0007\u001B]52;c;cm0=\u0007b\u009B31m\u202Ec\rd\u007Fe'
const SHOWN = 'a\\u001b[2J\\u001b]0;title\\u0007\\u001b]52;c;cm0=\\u0007b\\u009b31m\\u202ec\\u000dd\\u007fe'

describe('a character that a terminal acts on', () => {
  test('is visible, and others stay as they are', () => {
    expect(visible(HOSTILE)).toBe(SHOWN)
    expect(visible('two\nlines,\tone tab')).toBe('two\\u000alines,\\u0009one tab')
    expect(visible('two\nlines', '\n')).toBe('two\nlines')
    expect(visible('füchse 🦊 \\ "quoted" 中文')).toBe('füchse 🦊 \\ "quoted" 中文')
    fc.assert(fc.property(fc.oneof(anyText, hostileText), (text) => !ACTIVE.test(visible(text))))
  })

  test('is the same character in a JSON document', () => {
    fc.assert(
      fc.property(fc.oneof(anyText, hostileText), (text) => {
        expect(JSON.parse(visible(JSON.stringify({ [text]: text })))).toEqual({ [text]: text })
      }),
    )
  })

  test('is visible after a line of the log is parsed; line feeds and tabs remain', () => {
    const parsed = (msg: string): string => (JSON.parse(visibleInside(JSON.stringify({ msg }))) as { msg: string }).msg
    expect(parsed('a\u001B[2J\u009B\u202E\r\b\n\t\\u001b "b"')).toBe('a\\u001b[2J\\u009b\\u202e\\r\\b\n\t\\u001b "b"')
    expect(visibleInside('{"msg":"plain \\"words\\""}\n')).toBe('{"msg":"plain \\"words\\""}\n')
    fc.assert(
      fc.property(fc.oneof(anyText, hostileText), (text) => !ACTIVE.test(parsed(text).replaceAll(/[\n\t]/g, ''))),
    )
  })
})

/** Collects what is written, as a terminal or as a pipe. */
function screen(isTTY: boolean) {
  const written: string[] = []
  return { written, isTTY, columns: 200, rows: 20, write: (text: string) => written.push(text) }
}

test('lines and texts are made visible on a terminal, and are unchanged elsewhere', () => {
  const [terminal, pipe] = [screen(true), screen(false)]
  for (const one of [terminal, pipe]) {
    writeLine(one, `${HOSTILE}\nof the same line`)
    writeText(one, `${HOSTILE}\r\nthe next line\n`)
  }
  expect(terminal.written).toEqual([`${SHOWN}\\u000aof the same line\n`, `${SHOWN}\nthe next line\n`])
  expect(pipe.written).toEqual([`${HOSTILE}\nof the same line\n`, `${HOSTILE}\r\nthe next line\n`])
})

test('live lines are made visible before they are cut', () => {
  const terminal = { ...screen(true), columns: 12 }
  createLiveLines(terminal).show([`ab\u001B[2Jcdef`, 'g\nh'])
  expect(terminal.written).toEqual(['ab\\u001b[2…\ng\\u000ah\n'])
})

describe('what a command prints', () => {
  const job = {
    id: 'job_1',
    status: 'failed',
    position: 0,
    progress: null,
    waiting_for: { reason: 'budget', detail: HOSTILE },
    preset: null,
    model: HOSTILE,
    attempt: 1,
    created_at: '2026-01-01T00:00:00.000Z',
    completed_at: '2026-01-01T00:00:01.000Z',
    cost: null,
    error: { code: 'prediction_failed', message: HOSTILE },
    input: { [HOSTILE]: HOSTILE },
    artifacts: [],
    output: HOSTILE,
  } as unknown as Job
  const batch = {
    id: 'bat_1',
    counts: { total: 1 },
    status: 'failed',
    cost: null,
    stopped: HOSTILE,
  } as unknown as Batch

  const streams = [process.stdout, process.stderr] as const
  const wasTTY = streams.map(({ isTTY }) => isTTY)
  afterEach(() => {
    vi.restoreAllMocks()
    streams.forEach((stream, at) => Object.assign(stream, { isTTY: wasTTY[at] }))
  })

  /** Both streams of the process, as a terminal or as pipes. */
  function printed(isTTY: boolean, print: () => void): string {
    let text = ''
    for (const stream of streams) {
      Object.assign(stream, { isTTY })
      vi.spyOn(stream, 'write').mockImplementation((part) => {
        text += part.toString()
        return true
      })
    }
    print()
    vi.restoreAllMocks()
    return text
  }

  test.each<[string, () => void]>([
    ['get of a job', () => printJob(job)],
    ['get of a batch', () => printBatch(batch, [job])],
    ['a table', () => printRecords([{ a: HOSTILE }], { json: false, columns: { a: ({ a }) => a, b: () => 'next' } })],
    ['records as JSON', () => printRecords([{ a: HOSTILE }], { json: true, columns: {} })],
    ['--json', () => printJson(job)],
    ['the end of a job', () => note(endOf(job))],
    ['an error', () => noteText(`genqueue: ${HOSTILE}\n`)],
  ])('%s is visible on a terminal', (_what, print) => {
    const shown = printed(true, print)
    expect(shown).toContain('\\u001b[2J')
    expect(shown).toContain('\\u202e')
    expect(shown.replaceAll(/[\n\t]/g, '')).not.toMatch(ACTIVE)
  })

  test('a table stays aligned', () => {
    const table = printed(true, () =>
      printRecords([{ a: HOSTILE }, { a: 'short' }], { json: false, columns: { a: ({ a }) => a, b: () => 'next' } }),
    )
    const at = table
      .trimEnd()
      .split('\n')
      .map((line) => Math.max(line.indexOf('next'), line.indexOf('B')))
    expect(new Set(at).size).toBe(1)
  })

  test('the text of a model arrives unchanged in a pipe, and as the same JSON value on a terminal', () => {
    expect(printed(false, () => printJob(job))).toContain(`\n${HOSTILE}\n`)
    expect(JSON.parse(printed(true, () => printJson(job)))).toEqual(job)
  })
})

test('no other file of the command line writes to a terminal', () => {
  const folder = join(import.meta.dirname, '../../src/cli')
  const direct = readdirSync(folder).filter((name) =>
    /\bconsole\b|\.write\(|writeSync|\bprint\(.*process\.std/.test(readFileSync(join(folder, name), 'utf8')),
  )
  // live-lines.ts moves the cursor itself.
  expect(direct).toEqual(['live-lines.ts', 'terminal.ts'])
})
