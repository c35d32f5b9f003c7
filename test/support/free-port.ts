/** A TCP port of this machine that nobody listens on. */
export { freePort } from '../../src/shared/redis/redis-process.ts'
