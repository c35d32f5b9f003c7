import type { Redis } from 'ioredis'
import type { Preset } from '../catalogue/rules/preset.ts'

/** A preset's limits of jobs in flight: of all tenants, and of each; null: none. */
export interface PresetLimits {
  name: string
  concurrency: number | null
  per_tenant: number | null
}

export const presetLimits = ({ name, policies }: Pick<Preset, 'name' | 'policies'>): PresetLimits => ({
  name,
  concurrency: policies.concurrency,
  per_tenant: policies.per_tenant,
})

const DEFAULT = 'default '

/** Replaces the limits that the files of presets state. What an operator has set stays, and has precedence (order.lua). */
export async function statePresetLimits(redis: Redis, key: string, presets: readonly PresetLimits[]): Promise<void> {
  const stated = new Map<string, string>()
  for (const { name, concurrency, per_tenant } of presets) {
    if (concurrency !== null) stated.set(`${DEFAULT}concurrency preset:${name}`, String(concurrency))
    if (per_tenant !== null) stated.set(`${DEFAULT}per_tenant preset:${name}`, String(per_tenant))
  }
  const known = (await redis.hkeys(key)).filter((field) => field.startsWith(DEFAULT))
  const gone = known.filter((field) => !stated.has(field))
  const all = redis.multi()
  if (gone.length > 0) all.hdel(key, ...gone)
  if (stated.size > 0) all.hset(key, stated)
  await all.exec()
}
