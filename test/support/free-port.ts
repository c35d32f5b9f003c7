/** A free TCP port of this machine. */
export { freePort } from '../../src/shared/redis/redis-process.ts'
