import { randomBytes } from 'node:crypto'
import type { Redis } from 'ioredis'
import { ulid } from 'ulid'
import { z } from 'zod'
import type { Logger } from '../process/logger.ts'
import type { SigningKeys } from '../values/signing-keys.ts'
import { clockLua, timeReply } from './clock.ts'
import { loadScript } from './script.ts'

/** Identity of a deployment: created once, stored in its Redis, shared by all of its processes. */
export interface Deployment {
  /** `dep<ulid>` in lower case, so that it is valid in a host name. */
  id: string
  /** Keys for webhook tokens, job tokens, sessions and artifact links: the current one and the previous one. */
  keys: SigningKeys
  /** Keys for lasting links, rotated separately. */
  linkKeys: SigningKeys
}

/**
 * A new key signs nothing before every process has read it, so that all processes accept every signature. Each process
 * reads the keys every LOOK_MS; a read younger than FRESH_MS is not repeated.
 */
const MAKES_AFTER_MS = 10_000
const LOOK_MS = 3_000
const FRESH_MS = 2_000

const rotateKey = loadScript(new URL('rotate-key.lua', import.meta.url), { includes: [clockLua] })

const newKey = (): string => randomBytes(32).toString('base64url')

export async function loadDeployment(redis: Redis, hash: string): Promise<Deployment> {
  await redis.hsetnx(hash, 'id', `dep${ulid().toLowerCase()}`)
  await redis.hsetnx(hash, 'key', newKey())
  await redis.hsetnx(hash, 'link_key', newKey())
  const deployment = await findDeployment(redis, hash)
  if (!deployment) throw new Error(`${hash} holds no deployment`)
  return deployment
}

interface KeyPair {
  present: Buffer
  previous: Buffer | null
  /** `performance.now()` from which the current key signs, ms. */
  makesFrom: number
}

interface Found {
  id: string
  token: KeyPair
  /** null: no process of this release has started yet. */
  link: KeyPair | null
}

const reply = z.tuple([z.tuple([z.null(), timeReply]), z.tuple([z.null(), z.array(z.string().nullable())])])

const pairFields = (prefix: string): string[] => [`${prefix}key`, `${prefix}previous_key`, `${prefix}rotated_at`]
const LINK = 'link_'

async function readKeys(redis: Redis, hash: string): Promise<Found | null> {
  const asked = performance.now()
  const [[, now], [, fields]] = reply.parse(
    await redis
      .multi()
      .time()
      .hmget(hash, 'id', ...pairFields(''), ...pairFields(LINK))
      .exec(),
  )
  const [id, ...keys] = fields
  const pairOf = ([key, previous, rotatedAt]: (string | null)[]): KeyPair | null => {
    if (!key) return null
    const age = now - Number(rotatedAt ?? 0)
    return {
      present: Buffer.from(key, 'base64url'),
      previous: previous ? Buffer.from(previous, 'base64url') : null,
      makesFrom: asked + MAKES_AFTER_MS - age,
    }
  }
  const token = pairOf(keys.slice(0, 3))
  return id && token ? { id, token, link: pairOf(keys.slice(3)) } : null
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
    // A Redis that lost its data, or holds another deployment, says nothing about these keys.
    if (found?.id === id) known = found
  }

  const signing = (pair: () => KeyPair): SigningKeys => ({
    maker: () => {
      const { present, previous, makesFrom } = pair()
      return previous !== null && performance.now() < makesFrom ? previous : present
    },
    accepted: () => {
      const { present, previous } = pair()
      return previous === null ? [present] : [present, previous]
    },
    refresh,
  })

  return {
    id,
    keys: signing(() => known.token),
    linkKeys: signing(() => {
      if (known.link === null) throw new Error(`${hash} holds no key for links`)
      return known.link
    }),
  }
}

/** Picks up a key rotation within seconds. Returns a function that stops the watch. */
export function followKeys({ keys }: Deployment, log: Logger): () => void {
  const timer = setInterval(() => {
    keys.refresh({ now: true }).catch((error: unknown) => log.debug({ err: error }, 'the keys could not be reloaded'))
  }, LOOK_MS)
  timer.unref()
  return () => clearInterval(timer)
}

/** Longest life of predictions with a token of the previous key, their webhooks and listings included, ms. */
export const ROTATION_MS = 2 * 60 * 60_000

/**
 * Rotates the key of a deployment. The current key stays valid as the previous one, and the previous one becomes invalid.
 * Returns 0 when rotated; otherwise nothing has changed and the result is the ms for which the previous key may still be
 * needed.
 */
export async function rotateDeploymentKey(
  redis: Redis,
  hash: string,
  { force }: { force: boolean },
): Promise<{ left: number }> {
  const left = Number(await rotateKey(redis, [hash], [newKey(), String(force ? 0 : ROTATION_MS), '']))
  if (left < 0) throw new Error(`${hash} holds no deployment`)
  return { left }
}

/**
 * Revokes all lasting links, in two steps, so that no link made meanwhile is revoked too: a new key is published and signs
 * once every process has read it; after `pause` the old key becomes invalid. `now`: one step; links made within the next
 * seconds may be invalid.
 */
export async function rotateLinkKey(
  redis: Redis,
  hash: string,
  { now, pause }: { now: boolean; pause: (ms: number) => Promise<void> },
): Promise<void> {
  if ((await redis.hexists(hash, 'id')) === 0) throw new Error(`${hash} holds no deployment`)
  await redis.hsetnx(hash, 'link_key', newKey())
  await rotateKey(redis, [hash], [newKey(), '0', LINK])
  if (!now) await pause(MAKES_AFTER_MS + LOOK_MS)
  await redis.hdel(hash, 'link_previous_key')
}
