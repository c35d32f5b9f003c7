import { expect, test } from 'vitest'
import { createLifecycle } from '../../src/shared/jobs/lifecycle.ts'
import { createLogger } from '../../src/shared/process/logger.ts'
import { findDeployment, loadDeployment, rotateDeploymentKey } from '../../src/shared/redis/deployment.ts'
import type { PredictionPort } from '../../src/shared/replicate/prediction-port.ts'
import { createWebhookTokens } from '../../src/shared/replicate/rules/webhook-token.ts'
import { createAdoptUnknown } from '../../src/workers/adopt-unknown.ts'
import { jobScene } from '../support/job-scene.ts'
import { prediction } from '../unit/support/job-states.ts'
import { SILENT_DOORBELLS } from '../support/silent-doorbells.ts'
import { oneAccount } from '../support/one-account.ts'

test('a prediction whose token was made by a newer key than the lister knows is adopted, not taken for a foreign one', async () => {
  const { redis, keys, timings, store, accepted, happen } = await jobScene()
  const id = await accepted()
  await happen(id, { type: 'intend', claim: 'c' })
  await happen(id, { type: 'lost', attempt: 1, claim: 'c', reason: 'ECONNRESET' })

  const hash = keys.deployment
  const old = await loadDeployment(redis, hash)
  await rotateDeploymentKey(redis, hash, { force: false })
  await redis.hset(hash, 'rotated_at', '0')
  const other = await findDeployment(redis, hash)
  if (!other) throw new Error('no deployment')
  const publicUrl = (): null => null
  const webhook = createWebhookTokens({ deployment: other.id, keys: other.keys, publicUrl }).url(id, 1)
  const tokens = createWebhookTokens({ deployment: old.id, keys: old.keys, publicUrl })
  expect(tokens.read(webhook)).toBeNull()

  const row = { ...prediction('processing', { id: 'p1' }), webhook }
  const upstream: Pick<PredictionPort, 'list' | 'get'> = {
    list: () => Promise.resolve({ kind: 'page', predictions: [row], cursor: null }),
    get: () => Promise.resolve({ kind: 'prediction', prediction: row }),
  }
  const log = createLogger({ level: 'silent', readable: false })
  const adopt = createAdoptUnknown({
    store,
    lifecycle: createLifecycle({ store, doorbells: SILENT_DOORBELLS, timings, log, webhooks: () => false }),
    accounts: oneAccount({ upstream }),
    tokens,
    timings,
    log,
  })
  await adopt('default', new AbortController().signal)
  expect(await store.read(id)).toMatchObject({ phase: 'running', prediction_id: 'p1', attempt: 1 })
  expect(await redis.exists(keys.foreign('default'))).toBe(0)
})
