import { serviceNow, useSeconds } from './clock.ts'
import { runningFor } from './format.ts'

/** Time since, updated every second. */
export function Ticking({ since }: { since: string }) {
  useSeconds(true)
  return <>{runningFor(serviceNow() - Date.parse(since))}</>
}

/** Time until an estimate, updated every second. */
export function Until({ at }: { at: string }) {
  useSeconds(true)
  const left = Date.parse(at) - serviceNow()
  return <>{left <= 0 ? 'later than estimated' : `in ${runningFor(left)}`}</>
}
