import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { OwnRedis } from './redis.ts'

/** The newest file of a Redis' append-only log. */
export function appendOnlyFile({ dataDir }: Pick<OwnRedis, 'dataDir'>): string {
  const folder = join(dataDir, 'redis', 'appendonlydir')
  const [newest = ''] = readdirSync(folder)
    .filter((name) => name.endsWith('.incr.aof'))
    .sort()
    .toReversed()
  return join(folder, newest)
}
