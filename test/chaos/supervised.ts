import { setTimeout as delay } from 'node:timers/promises'
import type { SpawnedProcess } from '../support/spawn-process.ts'
import { STRUCK, type Strike } from './borders.ts'
import type { ChaosFleet } from './fleet.ts'

/** A process that is started again whenever it ends, as an operator's platform does. */
export interface Supervised {
  readonly name: string
  /** To the life that runs now, if one does. */
  signal(signal: NodeJS.Signals): void
  /** The following lives are struck at these borders, one each; null: none. */
  arm(strikes: (Strike | null)[]): void
  /** How long the next start is put off, ms. */
  restartAfter(ms: number): void
  /** How many lives ended, and how; borders that struck. */
  readonly ends: Map<string, number>
  readonly struck: Map<string, number>
  /** The last words of every life so far. */
  readonly words: string[]
  stop(): Promise<void>
}

/** How long a process stays stopped that stopped itself at a border. */
const STANDSTILL_MS = 3_500

/** `api`: which of the apis it is. */
export function supervise(
  fleet: ChaosFleet,
  name: string,
  role: 'api' | 'worker',
  first: Strike | null,
  api = 0,
): Supervised {
  const armed: (Strike | null)[] = [first]
  const ends = new Map<string, number>()
  const struck = new Map<string, number>()
  const words: string[] = []
  let wait = 200
  let wanted = true
  let life: SpawnedProcess | null = null
  const count = (map: Map<string, number>, key: string): void => void map.set(key, (map.get(key) ?? 0) + 1)

  async function resumeWhenStruck(one: SpawnedProcess): Promise<void> {
    const [, signal, border] = await one.waitForLine(STRUCK, { timeout: 2_000_000_000 })
    count(struck, `${signal} at ${border}`)
    if (signal !== 'SIGSTOP') return
    await delay(STANDSTILL_MS, undefined, { ref: false })
    one.signal('SIGCONT')
  }

  async function live(): Promise<void> {
    while (wanted) {
      const one = fleet.spawn(role, armed.shift() ?? null, {}, api)
      life = one
      const watching = resumeWhenStruck(one).catch(() => undefined)
      const exit = await one.exited
      await watching
      count(ends, exit.signal ?? `exit ${exit.code}`)
      words.push(...`${one.stdout}${one.stderr}`.trim().split('\n').slice(-30))
      words.splice(0, words.length - 400)
      if (wanted) await delay(wait)
      wait = 200
    }
  }
  const running = live()
  return {
    name,
    ends,
    struck,
    words,
    signal: (signal) => life?.signal(signal),
    arm: (strikes) => void armed.push(...strikes),
    restartAfter: (ms) => void (wait = ms),
    async stop() {
      wanted = false
      life?.signal('SIGCONT')
      life?.signal('SIGKILL')
      await running
    },
  }
}
