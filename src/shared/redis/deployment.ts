import { randomBytes } from 'node:crypto'
import type { Redis } from 'ioredis'
import { ulid } from 'ulid'

/** What makes a deployment itself: made once, kept in its Redis, shared by all of its processes. */
export interface Deployment {
  /** `dep<ulid>` in lower case, so that it can stand in a host name. */
  id: string
  /** Signs webhook tokens, job tokens, sessions and artifact links. */
  key: Buffer
}

export async function loadDeployment(redis: Redis, hash: string): Promise<Deployment> {
  await redis.hsetnx(hash, 'id', `dep${ulid().toLowerCase()}`)
  await redis.hsetnx(hash, 'key', randomBytes(32).toString('base64url'))
  const deployment = await findDeployment(redis, hash)
  if (!deployment) throw new Error(`${hash} holds no deployment`)
  return deployment
}

/** null: no service has used this Redis under this prefix yet. */
export async function findDeployment(redis: Redis, hash: string): Promise<Deployment | null> {
  const [id, key] = await redis.hmget(hash, 'id', 'key')
  return id && key ? { id, key: Buffer.from(key, 'base64url') } : null
}
