import { join } from 'node:path'
import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { createClient } from '../../src/client/client.ts'
import type { Job } from '../../src/client/types.ts'
import { createDiskArtifactStore } from '../../src/shared/artifacts/disk-artifact-store.ts'
import { DEFAULT_TIMINGS } from '../../src/shared/jobs/rules/timings.ts'
import type { ModelFile } from '../../src/simulator/models/model.ts'
import { auditReport, simulatorBooks } from '../support/audit.ts'
import { FIRST_VERSION_PRESETS, firstVersionModels, loadFirstVersion } from '../support/first-version.ts'
import { finished, submitMany } from '../support/finished.ts'
import { freePort } from '../support/free-port.ts'
import { freshPrefix, testRedisUrl } from '../support/redis.ts'
import { startService } from '../support/start-service.ts'
import { tempDir } from '../support/temp-dir.ts'

/** An upgrade from the first version: what it left is read, continued and rewritten by today's service, under new load. */

const LOAD = 60

/** Longer than any create of the first version lasts, shorter than its longest runs. */
const AGO_MS = 85_000

/** A proof that a prediction does not exist in seconds instead of minutes; everything else as in production. */
const TIMINGS = { clockSkew: 100, listingLag: 100, listingGap: 400, listAgain: { min: 200, max: 600 } }

/** Everything succeeds, except: */
const EXCEPT: Record<string, { status: Job['status']; code: string }> = {
  canceled: { status: 'canceled', code: 'canceled' },
  failed: { status: 'failed', code: 'prediction_failed' },
  stopping: { status: 'canceled', code: 'canceled' },
}
/** Every job has one prediction, except those whose first one failed for a reason of the platform. */
const isResubmitted = (name: string): boolean => name.startsWith('resubmitting')

/** The models of the old jobs; what is created again runs for a moment. */
function quickModels(): ModelFile {
  const { models = [] } = JSON.parse(firstVersionModels()) as ModelFile
  return { models: models.map((model) => ({ ...model, run_seconds: 0.2, start_seconds: 0.05 })) }
}

test('jobs that the first version left in every phase reach their ends, each paid once, beside new ones', async () => {
  const redis = new Redis(testRedisUrl())
  const [prefix, dataDir, simulatorDir] = [freshPrefix(), tempDir(), tempDir()]
  const [port, simulatorPort] = [await freePort(), await freePort()]
  const old = await loadFirstVersion({
    redis,
    prefix,
    api: `http://127.0.0.1:${port}`,
    simulator: `http://127.0.0.1:${simulatorPort}`,
    dataDir,
    simulatorDir,
    ago: AGO_MS,
  })
  redis.disconnect()
  const phases = new Set(old.jobs.map(({ phase }) => phase))
  const unfinished = ['queued', 'submitting', 'unknown', 'created', 'running', 'resubmitting', 'stopping', 'storing']
  expect(phases).toEqual(new Set([...unfinished, 'succeeded', 'failed', 'canceled']))

  const service = await startService({
    env: { KEY_PREFIX: prefix, DATA_DIR: dataDir, PORT: String(port), PRESETS_DIR: FIRST_VERSION_PRESETS },
    simulator: { port: simulatorPort, dataDir: simulatorDir, models: quickModels(), speed: 1 },
    timings: TIMINGS,
  })
  const paying = createClient({ baseUrl: service.url, key: old.keys['paying'] ?? '' })
  const clientOf = (tenant: string) => (tenant === 'paying' ? paying : service.client)

  // The same submission as then, with the same key, is the same job.
  const again = await service.client.submit(
    { model: 'first/quick', input: { text: 'a text' }, metadata: { name: 'queued' } },
    { idempotencyKey: 'queued' },
  )
  expect(again.id).toBe(old.jobs.find(({ name }) => name === 'queued')?.id)

  const fresh = await submitMany(service, LOAD, (i) => ({ model: 'first/quick', input: { text: `new ${i}` } }))
  const paid = await submitMany({ client: paying }, 5, (i) => ({
    preset: 'text',
    input: { text: `paid ${i}` },
  }))
  const ends = await Promise.all(
    old.jobs.map(async ({ name, id, tenant }) => ({ name, job: await finished({ client: clientOf(tenant) }, id) })),
  )
  expect(ends.map(({ name, job }) => ({ name, status: job.status, code: job.error?.code ?? null }))).toEqual(
    old.jobs.map(({ name }) => ({ name, status: 'succeeded', code: null, ...EXCEPT[name] })),
  )
  for (const id of fresh) expect((await finished(service, id)).status).toBe('succeeded')
  for (const id of paid) expect((await finished({ client: paying }, id)).status).toBe('succeeded')
  for (const { id, tenant } of old.batches) {
    const batch = await clientOf(tenant).getBatch(id)
    expect(batch).toMatchObject({ status: 'succeeded', completed_at: expect.any(String) as string })
  }

  // Files of both versions are there.
  for (const { name, job } of ends) {
    if (!/picture|storing|queued, paid/.test(name)) continue
    expect(job.artifacts, name).toHaveLength(1)
    const response = await fetch(new URL(String((job.output as string[])[0]), service.url))
    expect(response.status, name).toBe(200)
    expect((await response.arrayBuffer()).byteLength).toBe(job.artifacts[0]?.bytes)
  }

  const { predictions } = await service.simulator.books()
  const made = (id: string): number => predictions.filter(({ webhook }) => webhook?.includes(id)).length
  for (const { name, id } of old.jobs) expect(`${name}: ${made(id)}`).toBe(`${name}: ${isResubmitted(name) ? 2 : 1}`)
  for (const id of [...fresh, ...paid]) expect(made(id)).toBe(1)

  const credits = await paying.credits()
  expect(credits).toMatchObject({ granted: 1_000_000, held: 0 })
  expect(credits.balance + credits.captured).toBe(1_000_000)
  const audit = {
    redis: service.redis,
    keys: service.keys,
    timings: { ...DEFAULT_TIMINGS, ...TIMINGS },
    upstream: await simulatorBooks(service),
    artifacts: createDiskArtifactStore(join(dataDir, 'artifacts')),
  }
  // The first version counted no files; everything else holds as it is.
  const repair = await auditReport({ ...audit, repair: true })
  expect(repair.findings).toEqual([])
  expect(repair.jobs).toBe(old.jobs.length + LOAD + paid.length)
  expect(new Set(repair.repaired.map(({ invariant }) => invariant))).toEqual(new Set(['stored_counted']))
  expect((await auditReport(audit)).findings).toEqual([])
  await service.stop()
})
