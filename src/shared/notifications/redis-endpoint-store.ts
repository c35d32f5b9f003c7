import type { Redis } from 'ioredis'
import { z } from 'zod'
import { ZOD_ERRORS } from '../errors/zod-errors.ts'
import type { JobKeys } from '../jobs/record/job-keys.ts'
import { NewerRecordError } from '../jobs/record/record-codec.ts'
import { loadScript } from '../redis/script.ts'
import type { EndpointStore } from './ports.ts'
import { countedTypes, endpointSchema, type Endpoint } from './rules/endpoint.ts'

/** Also when Redis is full: an endpoint can be disabled then, and accepted jobs still end. */
const writeEndpoint = loadScript(new URL('write-endpoint.lua', import.meta.url), { flags: ['allow-oom'] })
const reply = z.enum(['written', 'changed', 'full'])

const recordVersion = z.object({ v: z.number() })

/** Throws NewerRecordError: what a newer release wrote is not sent in part, it waits for that release. */
function decode(text: string): Endpoint {
  const value: unknown = JSON.parse(text)
  const { v } = recordVersion.parse(value)
  if (v > 1) throw new NewerRecordError(`an endpoint of version ${v}`)
  return endpointSchema.parse(value, ZOD_ERRORS)
}

const typesOf = (endpoint: Endpoint | null): string =>
  countedTypes(endpoint?.events ?? [])
    .map((type) => `${type} `)
    .join('')

export function createRedisEndpointStore({
  redis,
  keys,
}: {
  redis: Redis
  keys: Pick<JobKeys, 'endpoints' | 'subscribed'>
}): EndpointStore {
  async function textOf(tenant: string, id: string): Promise<string | null> {
    return redis.hget(keys.endpoints(tenant), id)
  }

  /** `was`: its text as it was read; null: there is none, and it is created unless there are `most`. `after`: null removes it. */
  async function write(tenant: string, id: string, was: string | null, after: Endpoint | null, most = 0) {
    const before = was === null ? null : decode(was)
    const args = [id, was ?? '', after === null ? '' : JSON.stringify(after), String(most)]
    const names = [keys.endpoints(tenant), keys.subscribed(tenant)]
    return reply.parse(await writeEndpoint(redis, names, [...args, typesOf(before), typesOf(after)]))
  }

  return {
    async create(endpoint, most) {
      const written = await write(endpoint.tenant, endpoint.id, null, endpoint, most)
      if (written === 'changed') throw new Error(`the endpoint ${endpoint.id} exists`)
      return written === 'written'
    },

    async read(tenant, id) {
      const text = await textOf(tenant, id)
      return text === null ? null : decode(text)
    },

    // Ids are ULIDs, so they sort by creation.
    list: async (tenant) =>
      (await redis.hvals(keys.endpoints(tenant))).map(decode).toSorted((a, b) => (a.id < b.id ? -1 : 1)),

    async change(tenant, id, change) {
      for (;;) {
        const text = await textOf(tenant, id)
        if (text === null) return null
        const after = change(decode(text))
        if ((await write(tenant, id, text, after)) === 'written') return after
      }
    },

    async remove(tenant, id) {
      for (;;) {
        const text = await textOf(tenant, id)
        if (text === null) return false
        if ((await write(tenant, id, text, null)) === 'written') return true
      }
    },
  }
}
