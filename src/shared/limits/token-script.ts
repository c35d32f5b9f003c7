import { clockLua } from '../redis/clock.ts'
import { loadScript } from '../redis/script.ts'
import { intervalOf, type Rate } from './rules/budget.ts'

/** Takes a token of a rate unless there is none; its reply is 0, or the ms to wait. */
export const takeToken = loadScript(new URL('take-token.lua', import.meta.url), {
  flags: ['allow-oom'],
  includes: [clockLua],
})

/** Arguments of the script for a rate whose whole burst may be taken. */
export function tokenArguments(rate: Rate): string[] {
  const interval = intervalOf(rate)
  return [interval, interval * (rate.burst - 1), interval * rate.burst].map(String)
}
