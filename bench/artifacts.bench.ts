import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import type { CopyReport } from './support/copy-files.ts'
import { imageFlags } from './support/image-flags.ts'
import { spawnNode } from '../test/support/spawn-process.ts'
import { tempDir } from '../test/support/temp-dir.ts'

/**
 * Cost of storing outputs: 1,000 files of 1 MB through the copier of a worker (media type, SHA-256, dimensions, a thumbnail
 * of large pictures, an fsync of each file and of its folder, a rename), compared with a plain `fetch` to a file. The two
 * alternate, with eight files at once like a worker, each in a separate process with the flags of the container image. CPU
 * time is reported too, because a shared disk makes elapsed time unreliable.
 *
 * The goal applies to files that are not decoded, such as video and audio. A picture of two million pixels also costs its
 * decoding and a thumbnail, for which `fetch` has no equivalent; pictures are reported separately.
 */

const FILES = 1000
const AT_ONCE = 8
const ROUNDS = 6
/** Share of the throughput of plain `fetch`. */
const GOAL = 0.8

const SUPPORT = join(import.meta.dirname, 'support')
let base: string

beforeAll(async () => {
  const server = spawnNode(join(SUPPORT, 'file-server.ts'))
  const [, port = '', pictureSize = ''] = await server.waitForLine(/^ready (\d+) (\S+)/, { timeout: 60_000 })
  base = `http://127.0.0.1:${port}`
  say(`size of a picture: ${pictureSize} MB, of other files: 1 MB`)
  return () => server.kill('SIGKILL')
})

const say = (line: string): void => void process.stdout.write(`${line}\n`)

async function copyAll(
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
/** Memory before the first file, after a tenth, after half, and after all files. */
const memory = ({ rss }: CopyReport): string => {
  const [start = 0, first = 0] = rss
  const [middle = 0, end = 0] = [rss[Math.floor(rss.length / 2)], rss.at(-1)]
  return `${[start, first, middle, end].map((mb) => mb.toFixed(0)).join(' -> ')} MB`
}
const describe = (report: CopyReport): string =>
  `${perSecond(report).toFixed(0)} MB/s, ${((report.cpu / FILES) * 1000).toFixed(1)} ms of CPU time per file`

test('artifacts', async () => {
  for (const way of ['plain', 'copier'] as const) await copyAll(way, 'bytes', 100)
  const all: Record<'plain' | 'copier', CopyReport[]> = { plain: [], copier: [] }
  for (let round = 1; round <= ROUNDS; round++) {
    // Alternates, because the first run leaves a busy disk to the second.
    const order = round % 2 === 1 ? (['plain', 'copier'] as const) : (['copier', 'plain'] as const)
    for (const way of order) {
      const report = await copyAll(way, 'bytes')
      expect(report.bytes).toBe(FILES * 1024 * 1024)
      all[way].push(report)
      say(`round ${round}, ${way}: ${describe(report)}; memory ${memory(report)}`)
    }
  }
  const share = perSecond(...all.copier) / perSecond(...all.plain)
  const work = total(all.copier, 'cpu') / total(all.plain, 'cpu')
  say(
    `the copier reaches ${share.toFixed(2)} of the throughput of plain fetch (goal ${GOAL}), with ${work.toFixed(2)} of its CPU time`,
  )
  const synced = await copyAll('synced', 'bytes')
  say(`fetch with an fsync of each file: ${describe(synced)}`)

  const pictures = await copyAll('copier', 'pictures')
  say(`pictures, with dimensions and thumbnails: ${describe(pictures)}; memory ${memory(pictures)}`)
})
