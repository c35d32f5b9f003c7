import { createReadStream, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { uploadPath } from '../../src/shared/inputs/rules/reference.ts'
import type { RemoteFile } from '../../src/shared/inputs/rules/upload.ts'
import { createLogger } from '../../src/shared/process/logger.ts'
import type { HandOverOutcome } from '../../src/shared/replicate/prediction-port.ts'
import { createPrepareInput } from '../../src/workers/prepare-input.ts'
import { tempDir } from '../support/temp-dir.ts'
import { waitFor } from '../support/wait-for.ts'
import { jobRecord } from '../unit/support/job-states.ts'
import { oneAccount } from '../support/one-account.ts'

const ID = 'upl_01ARZ3NDEKTSV4RRFFQ69G5FAV'
const path = join(tempDir(), 'file')
writeFileSync(path, Buffer.alloc(600_000))

const RECORD = {
  v: 1 as const,
  id: ID,
  tenant: 't',
  state: 'ready' as const,
  key: 'k',
  media_type: 'image/png',
  bytes: 600_000,
  sha256: '',
  created_at: 0,
  expires_at: 0,
  about: null,
}
const never = new AbortController().signal

/** A worker that prepares inputs with one file too large to stand inline. `note` may hold a job up. */
function preparer(outcome: HandOverOutcome | Error, note: (job: string) => Promise<void> = () => Promise.resolve()) {
  const opened: Readable[] = []
  const copies = new Map<string, RemoteFile>()
  const upload = (account: string): Promise<HandOverOutcome> => {
    if (outcome instanceof Error) return Promise.reject(outcome)
    const isOther = outcome.kind === 'taken' && account !== 'default'
    return Promise.resolve(isOther ? { ...outcome, url: `${outcome.url}-${account}` } : outcome)
  }
  const prepare = createPrepareInput({
    jobs: { whole: (one) => Promise.resolve(one) },
    uploads: {
      readMany: () => Promise.resolve([RECORD]),
      remote: (id, account) => Promise.resolve(copies.get(`${account} ${id}`) ?? null),
      rememberRemote(id, account, remote) {
        copies.set(`${account} ${id}`, remote)
        return Promise.resolve()
      },
    },
    artifacts: {
      open() {
        const file = createReadStream(path)
        opened.push(file)
        return Promise.resolve(file)
      },
    },
    accounts: { of: (name) => oneAccount({ upstream: { uploadFile: () => upload(name) } }, name).first },
    waits: { note },
    log: createLogger({ level: 'silent', readable: false }),
  })
  return { prepare, opened }
}

const job = (id = 'job_1') => jobRecord('queued', { id, input: { image: uploadPath(ID) }, timeout: 600 })

const closed = (files: Readable[]) => waitFor('the file to be closed', () => files.every((file) => file.closed))

async function prepared(outcome: HandOverOutcome | Error) {
  const { prepare, opened } = preparer(outcome)
  return { result: await prepare(job(), 'default', never), opened }
}

test('an input whose long texts are gone is never sent shortened', async () => {
  const { prepare } = preparer(new Error('not in this test'))
  expect(
    await prepare({ ...job(), input: { prompt: 'the beginning\u2026' }, input_bytes: 20_000 }, 'default', never),
  ).toMatchObject({
    kind: 'impossible',
    error: { code: 'input_file_lost', billed: 'no' },
  })
})

test.each<[string, HandOverOutcome | Error]>([
  ['is taken', { kind: 'taken', url: 'https://r/f', expiresAt: null }],
  ['is refused', { kind: 'refused', status: 422, message: 'no' }],
  ['fails', { kind: 'failed', reason: 'ECONNREFUSED' }],
  ['throws', new Error('lost')],
])('a file is closed when its hand-over %s, even if it was never read', async (_what, outcome) => {
  const { opened } = await prepared(outcome)
  expect(opened).toHaveLength(1)
  await closed(opened)
})

test('a prepared input is good for as long as Replicate keeps its files', async () => {
  const expiresAt = Date.now() + 2 * 3_600_000
  const { result, opened } = await prepared({ kind: 'taken', url: 'https://r/f', expiresAt })
  await closed(opened)
  // The timeout of the job, and ten minutes.
  expect(result).toMatchObject({ kind: 'ready', until: expiresAt - 1_200_000 })
})

test('a job that looked for a copy before another job made it, and asks for one afterwards, makes no second one', async () => {
  const first = Promise.withResolvers<void>()
  const { prepare, opened } = preparer({ kind: 'taken', url: 'https://r/f', expiresAt: null }, (id) =>
    id === 'job_late' ? first.promise : Promise.resolve(),
  )
  const late = prepare(job('job_late'), 'default', never)
  await prepare(job(), 'default', never)
  first.resolve()
  expect(await late).toMatchObject({ kind: 'ready', input: { image: 'https://r/f' } })
  expect(opened).toHaveLength(1)
  await closed(opened)
})

test('a file is uploaded once to each account in which it is needed', async () => {
  const { prepare, opened } = preparer({ kind: 'taken', url: 'https://r/f', expiresAt: null })
  const inputs = async (account: string) =>
    Promise.all([prepare(job('job_1'), account, never), prepare(job('job_2'), account, never)])
  for (const one of await inputs('default')) expect(one).toMatchObject({ input: { image: 'https://r/f' } })
  for (const one of await inputs('second')) expect(one).toMatchObject({ input: { image: 'https://r/f-second' } })
  expect(opened).toHaveLength(2)
})
