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
 * nothing else. Both in turns, eight at a time as a worker does it, each in a process of its own with the flags of the
 * image. The processor's time is told too, because a disk that is shared makes seconds uncertain.
 *
 * The goal is for files that are not decoded, such as film and sound. A picture of two million pixels costs its decoding
 * and a small picture on top, which `fetch` has no equal for: that is told as it is.
 */

const FILES = 1000
const AT_ONCE = 8
const ROUNDS = 3
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

const perSecond = ({ bytes, seconds }: CopyReport): number => bytes / 1024 / 1024 / seconds
const median = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
const memory = ({ rss }: CopyReport): string => {
  const [start = 0, first = 0] = rss
  const [middle = 0, end = 0] = [rss[Math.floor(rss.length / 2)], rss.at(-1)]
  return `${[start, first, middle, end].map((mb) => mb.toFixed(0)).join(' -> ')} MB`
}
const told = (report: CopyReport): string =>
  `${perSecond(report).toFixed(0)} MB/s, ${((report.cpu / FILES) * 1000).toFixed(1)} ms of the processor a file`

test('artifacts', async () => {
  for (const way of ['plain', 'copier'] as const) await bring(way, 'bytes', 100)
  const shares: number[] = []
  const synced: number[] = []
  for (let round = 1; round <= ROUNDS; round++) {
    const plain = await bring('plain', 'bytes')
    const copier = await bring('copier', 'bytes')
    const withSync = await bring('synced', 'bytes')
    shares.push(perSecond(copier) / perSecond(plain))
    synced.push(perSecond(copier) / perSecond(withSync))
    say(`round ${round}: fetch ${told(plain)}; copier ${told(copier)}; fetch with fsync ${told(withSync)}`)
    say(`  memory before, after a tenth, at the half, at the end: fetch ${memory(plain)}, copier ${memory(copier)}`)
    for (const { bytes } of [plain, copier, withSync]) expect(bytes).toBe(FILES * 1024 * 1024)
  }
  say(
    `the copier reaches ${median(shares).toFixed(2)} of plain fetch (goal ${GOAL}), ${median(synced).toFixed(2)} of fetch with fsync`,
  )

  const pictures = await bring('copier', 'pictures')
  say(`pictures, measured and with small ones: ${told(pictures)}; memory ${memory(pictures)}`)
})
