import { randomFillSync } from 'node:crypto'

/** Random bytes for many ids: a call costs more than the bytes. */
const pool = Buffer.alloc(4096)
let used = pool.length

function take(count: number): number {
  if (used + count > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  used += count
  return used - count
}

const BYTES = 9

/** 72 random bits in 12 characters; each job stores its last eight ids. */
export function newCommitId(): string {
  const from = take(BYTES)
  return pool.toString('base64url', from, from + BYTES)
}

/** Random source for ulid: 0 to below 1 in steps of 1/256, eight steps for each of ulid's 32 characters. */
export const randomFraction = (): number => (pool[take(1)] ?? 0) / 256
