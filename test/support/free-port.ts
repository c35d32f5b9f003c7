import { randomInt } from 'node:crypto'
import { freePort as free } from '../../src/shared/redis/redis-process.ts'

/** Below the ports that systems give to outgoing connections and to listeners that ask for any port. */
const [LOWEST, HIGHEST] = [15_000, 31_999]

const given = new Set<number>()

/**
 * A free TCP port of this machine, given once in a process. No connection takes it while its listener is down: a test may
 * start the listener later, or again.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(LOWEST, HIGHEST + 1)
    if (given.has(port)) continue
    given.add(port)
    if ((await free(port)) === port) return port
  }
}
