import { createReadStream, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { uploadPath } from '../../src/shared/inputs/reference.ts'
import { createLogger } from '../../src/shared/logger.ts'
import type { HandOverOutcome } from '../../src/shared/replicate/prediction-port.ts'
import { createPrepareInput } from '../../src/workers/prepare-input.ts'
import { tempDir } from '../support/temp-dir.ts'
import { waitFor } from '../support/wait-for.ts'
import { jobRecord } from '../unit/support/job-states.ts'

const ID = 'upl_01ARZ3NDEKTSV4RRFFQ69G5FAV'
const path = join(tempDir(), 'file')
writeFileSync(path, Buffer.alloc(600_000))

/** Prepares the input of a job that names one file too large to stand inline. */
async function prepared(outcome: HandOverOutcome | Error) {
  const opened: Readable[] = []
  const prepare = createPrepareInput({
    uploads: {
      readMany: () =>
        Promise.resolve([
          {
            v: 1,
            id: ID,
            tenant: 't',
            state: 'ready',
            key: 'k',
            media_type: 'image/png',
            bytes: 600_000,
            sha256: '',
            created_at: 0,
            expires_at: 0,
          },
        ]),
      remote: () => Promise.resolve(null),
      rememberRemote: () => Promise.resolve(),
    },
    artifacts: {
      open() {
        const file = createReadStream(path)
        opened.push(file)
        return Promise.resolve(file)
      },
    },
    upstream: { uploadFile: () => (outcome instanceof Error ? Promise.reject(outcome) : Promise.resolve(outcome)) },
    reads: { take: () => Promise.resolve() },
    account: 'default',
    waits: { note: () => Promise.resolve() },
    log: createLogger({ level: 'silent', readable: false }),
  })
  const job = jobRecord('queued', { input: { image: uploadPath(ID) }, timeout: 600 })
  const result = await prepare(job, new AbortController().signal)
  return { result, opened }
}

test.each<[string, HandOverOutcome | Error]>([
  ['is taken', { kind: 'taken', url: 'https://r/f', expiresAt: null }],
  ['is refused', { kind: 'refused', status: 422, message: 'no' }],
  ['fails', { kind: 'failed', reason: 'ECONNREFUSED' }],
  ['throws', new Error('lost')],
])('a file is closed when its hand-over %s, even if it was never read', async (_what, outcome) => {
  const { opened } = await prepared(outcome)
  expect(opened).toHaveLength(1)
  await waitFor('the file to be closed', () => opened.every(({ closed }) => closed))
})

test('a prepared input is good for as long as Replicate keeps its files', async () => {
  const expiresAt = Date.now() + 2 * 3_600_000
  const { result } = await prepared({ kind: 'taken', url: 'https://r/f', expiresAt })
  // The timeout of the job, and ten minutes.
  expect(result).toMatchObject({ kind: 'ready', until: expiresAt - 1_200_000 })
})
