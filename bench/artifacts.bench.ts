import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import type { CopyReport } from './support/copy-files.ts'
import { imageFlags } from './support/image-flags.ts'
import { spawnNode } from '../test/support/spawn-process.ts'
import { tempDir } from '../test/support/temp-dir.ts'

/**
 * What it costs to keep outputs: 1,000 files of 1 MB through the copier of a worker (type, SHA-256, measures, a small
 * picture of large ones, an fsync of each file and of its folder, a rename) against `fetch` that writes to a file and does
 * nothing else. Both in turns, eight at a time as a worker does it, each in a separate process with the flags of the
 * image. Processor time is reported too, because a disk that is shared makes seconds uncertain.
 *
 * The goal is for files that are not decoded, such as film and sound. A picture of two million pixels costs its decoding
 * and a small picture on top, for which `fetch` has no equivalent; it is reported separately.
 */

const FILES = 1000
const AT_ONCE = 8
const ROUNDS = 6
/** Of the throughput of plain `fetch`. */
const GOAL = 0.8

const SUPPORT = join(import.meta.dirname, 'support')
let base: string

beforeAll(async () => {
  const server = spawnNode(join(SUPPORT, 'file-server.ts'))
  const [, port = '', pictureSize = ''] = await server.waitForLine(/^ready (\d+) (\S+)/, { timeout: 60_000 })
  base = `http://127.0.0.1:${port}`
  say(`pictures have ${pictureSize} MB, other files 1 MB`)
  return () => server.kill('SIGKILL')
})

const say = (line: string): void => void process.stdout.write(`${line}\n`)

async function bring(
  way: 'copier' | 'plain' | 'synced',
  kind: 'bytes' | 'pictures',
  files = FILES,
): Promise<CopyReport> {
  const folder = tempDir()
  const options = { way, kind, base, folder, files: String(files), 'at-once': String(AT_ONCE) }
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value])
  const child = spawnNode(join(SUPPORT, 'copy-files.ts'), args, { nodeFlags: imageFlags() })
  const { code } = await child.exited
  expect(code, child.stderr).toBe(0)
  rmSync(folder, { recursive: true })
  return JSON.parse(child.stdout) as CopyReport
}

const total = (reports: readonly CopyReport[], field: 'bytes' | 'seconds' | 'cpu'): number =>
  reports.reduce((sum, report) => sum + report[field], 0)
const perSecond = (...reports: CopyReport[]): number =>
  total(reports, 'bytes') / 1024 / 1024 / total(reports, 'seconds')
/** Before, after a tenth, at the half, at the end. */
const memory = ({ rss }: CopyReport): string => {
  const [start = 0, first = 0] = rss
  const [middle = 0, end = 0] = [rss[Math.floor(rss.length / 2)], rss.at(-1)]
  return `${[start, first, middle, end].map((mb) => mb.toFixed(0)).join(' -> ')} MB`
}
const describe = (report: CopyReport): string =>
  `${perSecond(report).toFixed(0)} MB/s, ${((report.cpu / FILES) * 1000).toFixed(1)} ms of the processor a file`

test('artifacts', async () => {
  for (const way of ['plain', 'copier'] as const) await bring(way, 'bytes', 100)
  const all: Record<'plain' | 'copier', CopyReport[]> = { plain: [], copier: [] }
  for (let round = 1; round <= ROUNDS; round++) {
    // Who goes second finds the disk as the first has left it.
    const order = round % 2 === 1 ? (['plain', 'copier'] as const) : (['copier', 'plain'] as const)
    for (const way of order) {
      const report = await bring(way, 'bytes')
      expect(report.bytes).toBe(FILES * 1024 * 1024)
      all[way].push(report)
      say(`round ${round}, ${way}: ${describe(report)}; memory ${memory(report)}`)
    }
  }
  const share = perSecond(...all.copier) / perSecond(...all.plain)
  const work = total(all.copier, 'cpu') / total(all.plain, 'cpu')
  say(
    `the copier reaches ${share.toFixed(2)} of plain fetch (goal ${GOAL}), with ${work.toFixed(2)} of its processor time`,
  )
  const synced = await bring('synced', 'bytes')
  say(`fetch with an fsync of each file: ${describe(synced)}`)

  const pictures = await bring('copier', 'pictures')
  say(`pictures, measured and with small ones: ${describe(pictures)}; memory ${memory(pictures)}`)
})
