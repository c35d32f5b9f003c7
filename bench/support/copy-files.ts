import { createWriteStream, mkdirSync, readFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import { createArtifactNames, DISK_PATTERN } from '../../src/shared/artifacts/rules/artifact-names.ts'
import { createDiskArtifactStore } from '../../src/shared/artifacts/disk-artifact-store.ts'
import { createLongTexts } from '../../src/shared/artifacts/long-texts.ts'
import { createMeasureFile } from '../../src/shared/artifacts/measure-file.ts'
import { createOutputFetcher } from '../../src/shared/artifacts/output-fetcher.ts'
import { DEFAULT_TIMINGS } from '../../src/shared/jobs/rules/timings.ts'
import { createLogger } from '../../src/shared/process/logger.ts'
import { createCopyOutputs } from '../../src/workers/copy-outputs.ts'
import { jobRecord } from '../../test/unit/support/job-states.ts'

/**
 * Copies files to the disk, and prints a `CopyReport` as a line of JSON. `copier`: like a worker, with checksum, media type,
 * dimensions, thumbnails and fsync; `plain`: only fetch; `synced`: fetch with an fsync of each file.
 */

const { values } = parseArgs({
  options: {
    way: { type: 'string', default: 'copier' },
    base: { type: 'string', default: '' },
    kind: { type: 'string', default: 'bytes' },
    files: { type: 'string', default: '1000' },
    'at-once': { type: 'string', default: '8' },
    folder: { type: 'string', default: '' },
  },
})

export interface CopyReport {
  seconds: number
  /** CPU time of this process, s. */
  cpu: number
  bytes: number
  /** Resident memory, MB: before the first file and after each tenth of the files. */
  rss: number[]
}

const { base, kind, folder } = values
const [count, atOnce] = [Number(values.files), Number(values['at-once'])]
const urlOf = (at: number): string => `${base}/files/${kind}/${at}`

function copier(): (at: number) => Promise<number> {
  const log = createLogger({ level: 'warn', readable: false })
  const copy = createCopyOutputs({
    artifacts: createDiskArtifactStore(folder),
    names: createArtifactNames(DISK_PATTERN),
    measure: createMeasureFile(log),
    fetcher: createOutputFetcher({ upstreamBaseUrl: `${base}/v1`, connectTimeout: DEFAULT_TIMINGS.connectTimeout }),
    delivers: () => true,
    accounts: {
      of() {
        throw new Error('Not needed in this measurement.')
      },
    },
    longTexts: createLongTexts(`${folder}-long-texts`, 1_000_000_000),
    maxBytes: 500_000_000,
    timings: DEFAULT_TIMINGS,
    log,
  })
  const { signal } = new AbortController()
  return async (at) => {
    const job = jobRecord('storing', { id: `job_${String(at).padStart(26, '0')}` })
    const output = [urlOf(at)]
    const effect = {
      v: 1,
      kind: 'store',
      attempt: 1,
      output,
      output_pending: false,
      expires_at: 0,
      give_up_at: 0,
    } as const
    const { kept } = await copy(job, effect, signal)
    return kept.artifacts.reduce((sum, { bytes }) => sum + bytes, 0)
  }
}

const plain =
  (isSynced: boolean) =>
  async (at: number): Promise<number> => {
    const response = await fetch(urlOf(at))
    if (!response.ok || !response.body) throw new Error(`${urlOf(at)} responded with ${response.status}`)
    const path = join(folder, String(at))
    const file = createWriteStream(path)
    await pipeline(Readable.fromWeb(response.body), file)
    if (isSynced) {
      const handle = await open(path)
      await handle.sync()
      await handle.close()
    }
    return file.bytesWritten
  }

const rssNow = (): number =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0) / 1024

mkdirSync(folder, { recursive: true })
const copyOne = values.way === 'copier' ? copier() : plain(values.way === 'synced')
const report: CopyReport = { seconds: 0, cpu: 0, bytes: 0, rss: [rssNow()] }
const [begun, cpuBefore] = [performance.now(), process.cpuUsage()]
let next = 0
await Promise.all(
  Array.from({ length: atOnce }, async () => {
    while (next < count) {
      const at = next++
      const bytes = await copyOne(at)
      report.bytes += bytes
      if ((at + 1) % (count / 10) === 0) report.rss.push(rssNow())
    }
  }),
)
const { user, system } = process.cpuUsage(cpuBefore)
Object.assign(report, { seconds: (performance.now() - begun) / 1000, cpu: (user + system) / 1e6 })
process.stdout.write(`${JSON.stringify(report)}\n`)
process.exit(0)
