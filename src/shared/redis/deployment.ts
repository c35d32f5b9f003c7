import { randomBytes } from 'node:crypto'
import type { Redis } from 'ioredis'
import { ulid } from 'ulid'
import { z } from 'zod'
import type { Logger } from '../logger.ts'
import type { SigningKeys } from '../signing-keys.ts'
import { loadScript } from './script.ts'

/** What makes a deployment itself: made once, kept in its Redis, shared by all of its processes. */
export interface Deployment {
  /** `dep<ulid>` in lower case, so that it can stand in a host name. */
  id: string
  /** For webhook tokens, job tokens, sessions and artifact links: the present key, and the one before it. */
  keys: SigningKeys
}

/**
 * A new key makes nothing before every process surely knows it: what one signs, all accept. Processes look this often; a
 * look this fresh need not be repeated.
 */
const MAKES_AFTER_MS = 10_000
const LOOK_MS = 3_000
const FRESH_MS = 2_000

const rotateKey = loadScript(new URL('rotate-key.lua', import.meta.url))

const newKey = (): string => randomBytes(32).toString('base64url')

export async function loadDeployment(redis: Redis, hash: string): Promise<Deployment> {
  await redis.hsetnx(hash, 'id', `dep${ulid().toLowerCase()}`)
  await redis.hsetnx(hash, 'key', newKey())
  const deployment = await findDeployment(redis, hash)
  if (!deployment) throw new Error(`${hash} holds no deployment`)
  return deployment
}

interface Found {
  id: string
  present: Buffer
  previous: Buffer | null
  /** `performance.now()` from which on the present one makes signatures, ms. */
  makesFrom: number
}

const reply = z.tuple([
  z.tuple([z.null(), z.tuple([z.coerce.number(), z.coerce.number()])]),
  z.tuple([z.null(), z.array(z.string().nullable())]),
])

async function readKeys(redis: Redis, hash: string): Promise<Found | null> {
  const asked = performance.now()
  const [[, [seconds, micros]], [, fields]] = reply.parse(
    await redis.multi().time().hmget(hash, 'id', 'key', 'previous_key', 'rotated_at').exec(),
  )
  const [id, key, previous, rotatedAt] = fields
  if (!id || !key) return null
  const age = seconds * 1000 + micros / 1000 - Number(rotatedAt ?? 0)
  return {
    id,
    present: Buffer.from(key, 'base64url'),
    previous: previous ? Buffer.from(previous, 'base64url') : null,
    makesFrom: asked + MAKES_AFTER_MS - age,
  }
}

/** null: no service has used this Redis under this prefix yet. */
export async function findDeployment(redis: Redis, hash: string): Promise<Deployment | null> {
  const first = await readKeys(redis, hash)
  if (!first) return null
  let known = first
  let readAt = performance.now()
  const { id } = known

  async function refresh(options?: { now: true }): Promise<void> {
    const asked = performance.now()
    if (!options?.now && asked - readAt < FRESH_MS) return
    const found = await readKeys(redis, hash)
    readAt = asked
    // A Redis that lost its data, or holds another deployment, tells nothing about ours.
    if (found?.id === id) known = found
  }

  return {
    id,
    keys: {
      maker: () => (known.previous !== null && performance.now() < known.makesFrom ? known.previous : known.present),
      accepted: () => (known.previous === null ? [known.present] : [known.present, known.previous]),
      refresh,
    },
  }
}

/** Knows within seconds when the keys are rotated; answers how to stop. */
export function followKeys({ keys }: Deployment, log: Logger): () => void {
  const timer = setInterval(() => {
    keys.refresh({ now: true }).catch((error: unknown) => log.debug({ err: error }, 'the keys were not read again'))
  }, LOOK_MS)
  timer.unref()
  return () => clearInterval(timer)
}

/** Predictions that carry a token of the key before may live so long, their webhooks and listings included. */
export const ROTATION_MS = 2 * 60 * 60_000

/**
 * A new key for a deployment; the present one still counts, the one before it does not. `left`: ms in which that one may
 * still be needed: then nothing was changed. 0: rotated.
 */
export async function rotateDeploymentKey(
  redis: Redis,
  hash: string,
  { force }: { force: boolean },
): Promise<{ left: number }> {
  const left = Number(await rotateKey(redis, [hash], [newKey(), String(force ? 0 : ROTATION_MS)]))
  if (left < 0) throw new Error(`${hash} holds no deployment`)
  return { left }
}
