import type { Redis } from 'ioredis'
import { z } from 'zod'
import type { JobKeys } from '../jobs/record/job-keys.ts'
import { tooMuchStored, type StoredQuota } from '../limits/rules/stored.ts'
import { STORED_LUA } from '../limits/stored-script.ts'
import { clockLua, redisNow } from '../redis/clock.ts'
import { loadScript } from '../redis/script.ts'
import type { UploadStore } from './ports.ts'
import { decodeUpload } from './upload-codec.ts'
import type { UploadRecord } from './rules/upload.ts'

const here = (name: string): URL => new URL(name, import.meta.url)
const writeUpload = loadScript(here('write-upload.lua'), { includes: [clockLua, STORED_LUA] })
const removeUpload = loadScript(here('remove-upload.lua'), { flags: ['allow-oom'], includes: [STORED_LUA] })
const useUpload = loadScript(here('use-upload.lua'), { includes: [clockLua] })
const describeUpload = loadScript(here('describe-upload.lua'))
const expireUpload = loadScript(here('expire-upload.lua'), { flags: ['allow-oom'], includes: [clockLua] })
const leaveUpload = loadScript(here('leave-upload.lua'), { flags: ['allow-oom'], includes: [clockLua] })
const claimDue = loadScript(new URL('../jobs/indexes/claim-due.lua', import.meta.url), {
  flags: ['allow-oom'],
  includes: [clockLua],
})

const remoteSchema = z.object({ url: z.string(), expires_at: z.number() })
const flatFields = z
  .array(z.string())
  .transform((flat) => Object.fromEntries(flat.flatMap((name, i) => (i % 2 === 0 ? [[name, flat[i + 1] ?? '']] : []))))

/** Limit of ids in one command. */
const IDS_AT_ONCE = 1000
const parts = (ids: readonly string[]): string[][] =>
  Array.from({ length: Math.ceil(ids.length / IDS_AT_ONCE) }, (_, i) =>
    ids.slice(i * IDS_AT_ONCE, (i + 1) * IDS_AT_ONCE),
  )

export interface RedisUploadStoreOptions {
  redis: Redis
  keys: JobKeys
  /** Lease of a claimed upload, ms. */
  lease: number
  quota: StoredQuota
  /** Confirms that earlier writes on this connection are on disk; throws when they are not. */
  confirmDurable?: () => Promise<void>
}

export function createRedisUploadStore({
  redis,
  keys,
  lease,
  quota,
  confirmDurable,
}: RedisUploadStoreOptions): UploadStore {
  const written = async (
    id: string,
    wanted: string,
    times: { keepMs: number; staysMs: number },
    { tenant, bytes }: { tenant: string; bytes: number },
    fields: Record<string, string>,
  ): Promise<UploadRecord | null> => {
    const { stored_bytes: mostBytes = '', stored_files: mostFiles = '' } = quota.defaults
    const about = [id, times.keepMs, wanted, times.staysMs, tenant, bytes, mostBytes, mostFiles].map(String)
    const names = [keys.upload(id), keys.uploads, keys.stored, quota.tenants, keys.files]
    const reply = flatFields.parse(await writeUpload(redis, names, [...about, ...Object.entries(fields).flat()]))
    if (reply['quota'] !== undefined)
      throw tooMuchStored({ limit: reply['quota'], most: Number(reply['limit']), used: Number(reply['used']) })
    return decodeUpload(reply)
  }

  async function readMany(ids: readonly string[]): Promise<UploadRecord[]> {
    if (ids.length === 0) return []
    const pipeline = redis.pipeline()
    for (const id of ids) pipeline.hgetall(keys.upload(id))
    const replies = (await pipeline.exec()) ?? []
    return replies.flatMap(([error, fields]) => {
      if (error) throw error
      const found = decodeUpload(z.record(z.string(), z.string()).parse(fields))
      return found ? [found] : []
    })
  }

  return {
    async begin(id, tenant, leaseMs) {
      const fields = { v: '1', id, tenant, state: 'writing', key: '', media_type: '', bytes: '0', sha256: '' }
      await written(id, '', { keepMs: leaseMs, staysMs: leaseMs }, { tenant, bytes: 0 }, fields)
    },

    async complete(id, tenant, { key, media_type, bytes, sha256 }, keepMs) {
      const fields = { state: 'ready', key, media_type, bytes: String(bytes), sha256 }
      const times = { keepMs, staysMs: Math.max(keepMs, lease) }
      const record = await written(id, 'writing', times, { tenant, bytes }, fields)
      await confirmDurable?.()
      return record
    },

    async describe(id, about) {
      const reply = await describeUpload(redis, [keys.upload(id)], [JSON.stringify(about)])
      return decodeUpload(flatFields.parse(reply))
    },

    async list(tenant, { older, newer, limit }) {
      const [newest, oldest] = [
        older === undefined ? `(${tenant}0` : `(${tenant}/${older}`,
        `(${tenant}/${newer ?? ''}`,
      ]
      const found =
        newer === undefined
          ? await redis.zrange(keys.files, newest, oldest, 'BYLEX', 'REV', 'LIMIT', 0, limit + 1)
          : await redis.zrange(keys.files, oldest, newest, 'BYLEX', 'LIMIT', 0, limit + 1)
      const page = found.slice(0, limit).map((member) => member.slice(tenant.length + 1))
      const uploads = await readMany(newer === undefined ? page : page.toReversed())
      return { uploads, more: found.length > limit }
    },

    async expire(id) {
      await expireUpload(redis, [keys.upload(id), keys.uploads, keys.files], [id])
    },

    read: async (id) => (await readMany([id]))[0] ?? null,
    readMany,

    async use(id, tenant, jobs, holdMs) {
      let record: UploadRecord | null = null
      for (const part of parts(jobs)) {
        const args = [id, tenant, String(holdMs), ...part]
        const reply = await useUpload(redis, [keys.upload(id), keys.uploadJobs(id), keys.uploads], args)
        record = decodeUpload(flatFields.parse(reply))
        if (record === null) return null
      }
      return record
    },

    async leave(id, jobs, early = false) {
      const names = [keys.upload(id), keys.uploadJobs(id), keys.uploads]
      let isMarked = false
      for (const part of jobs.length === 0 ? [[]] : parts(jobs))
        isMarked = Number(await leaveUpload(redis, names, [id, early ? '1' : '', ...part])) === 1
      return isMarked
    },

    users: (id) => redis.srandmember(keys.uploadJobs(id), 100),

    isUsedBy: async (id, job) => (await redis.sismember(keys.uploadJobs(id), job)) === 1,

    async remote(id, account) {
      const text = await redis.get(keys.uploadRemote(id, account))
      return text === null ? null : remoteSchema.parse(JSON.parse(text))
    },

    async rememberRemote(id, account, remote, forMs) {
      await redis.set(keys.uploadRemote(id, account), JSON.stringify(remote), 'PX', Math.max(1, Math.round(forMs)))
    },

    async remove(id) {
      await removeUpload(redis, [keys.upload(id), keys.uploadJobs(id), keys.uploads, keys.stored, keys.files], [id])
    },

    async claimDue(limit) {
      const reply = await claimDue(redis, [keys.uploads, keys.swept], [String(lease), String(limit)])
      return z.array(z.string()).parse(reply).slice(1)
    },

    async rearm(id, inMs) {
      await redis.zadd(keys.uploads, 'XX', String((await redisNow(redis)) + Math.round(inMs)), id)
    },
  }
}
