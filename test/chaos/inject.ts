import { setTimeout as delay } from 'node:timers/promises'
import { waitFor } from '../support/wait-for.ts'
import type { ChaosFleet } from './fleet.ts'
import type { Planned } from './plan.ts'
import type { Supervised } from './supervised.ts'

export interface Injector {
  /** How many of each kind took place. */
  readonly counts: Map<string, number>
  /** Settles when the last fault has ended. */
  readonly done: Promise<void>
}

/** Carries out a plan. Faults of one kind may overlap: what they disturb is healed when the last of them ends. */
export function injectFaults(fleet: ChaosFleet, processes: Supervised[], plan: Planned[]): Injector {
  const counts = new Map<string, number>()
  const holds = new Map<string, number>()
  const began = performance.now()

  const hold = (what: string): void => void holds.set(what, (holds.get(what) ?? 0) + 1)
  /** True when no other process holds it any more. */
  const release = (what: string): boolean => {
    const left = (holds.get(what) ?? 1) - 1
    holds.set(what, left)
    return left === 0
  }
  const during = async (what: string, ms: number, heal: () => Promise<unknown> | void): Promise<void> => {
    hold(what)
    await delay(ms)
    if (release(what)) await heal()
  }
  const victim = (name: string): Supervised => {
    const found = processes.find((one) => one.name === name)
    if (!found) throw new Error(`there is no ${name}`)
    return found
  }

  /** The simulator's own switches work again once it is back; what was switched on before its death is forgotten. */
  const whileUpstreamLives = (act: () => Promise<void>): Promise<true> =>
    waitFor('the simulator to be there', () => act().then(() => true), { timeout: 60_000 })

  /** Of the simulator, and of Redis: one after the other, however long a start takes. */
  const deaths = { simulator: Promise.resolve(), redis: Promise.resolve() }
  async function death(
    last: Promise<void>,
    { kill, start }: { kill: () => Promise<void>; start: () => Promise<void> },
    ms: number,
  ): Promise<void> {
    await last
    await kill()
    await delay(ms)
    await start()
  }

  async function strike(fault: Planned): Promise<void> {
    const { redis, inspect, simulator, proxies } = fleet
    switch (fault.kind) {
      case 'kill':
      case 'terminate': {
        const one = victim(fault.victim)
        one.arm([fault.strike])
        one.restartAfter(fault.lasts)
        one.signal(fault.kind === 'kill' ? 'SIGKILL' : 'SIGTERM')
        return
      }
      case 'freeze':
        victim(fault.victim).signal('SIGSTOP')
        return during(`frozen ${fault.victim}`, fault.lasts, () => victim(fault.victim).signal('SIGCONT'))
      case 'redis_kill':
        deaths.redis = death(deaths.redis, { kill: () => redis.kill(), start: () => redis.start() }, fault.lasts)
        return deaths.redis
      case 'redis_freeze':
        redis.pause()
        await delay(fault.lasts)
        return redis.resume()
      case 'redis_full':
        await inspect.config('SET', 'maxmemory', '1mb')
        await delay(fault.lasts)
        await inspect.config('SET', 'maxmemory', '0')
        return
      case 'redis_forgets_scripts':
        await inspect.script('FLUSH')
        return
      case 'redis_slow': {
        const proxy = proxies[fault.link]
        proxy.latency(fault.ms)
        return during(fault.link, fault.lasts, () => proxy.heal())
      }
      case 'redis_cuts': {
        const proxy = proxies[fault.link]
        proxy.cutAfter(fault.bytes)
        return during(fault.link, fault.lasts, () => proxy.heal())
      }
      case 'upstream_cut':
        return proxies.upstream.resetAll()
      case 'upstream_refuses':
        await proxies.upstream.refuse()
        return during('upstream', fault.lasts, () => proxies.upstream.heal())
      case 'upstream_silent':
        proxies.upstream.blackHole()
        return during('upstream', fault.lasts, () => proxies.upstream.heal())
      case 'upstream_slow':
        proxies.upstream.latency(fault.ms)
        return during('upstream', fault.lasts, () => proxies.upstream.heal())
      case 'upstream_dies':
        deaths.simulator = death(deaths.simulator, simulator, fault.lasts)
        return deaths.simulator
      case 'simulator':
        await whileUpstreamLives(() => simulator.faults(fault.on))
        return during(fault.name, fault.lasts, () => whileUpstreamLives(() => simulator.faults(fault.off)))
    }
  }

  async function run(): Promise<void> {
    const under: Promise<void>[] = []
    for (const fault of plan) {
      await delay(Math.max(0, began + fault.at - performance.now()))
      const name = fault.kind === 'simulator' ? fault.name : fault.kind
      counts.set(name, (counts.get(name) ?? 0) + 1)
      under.push(strike(fault))
    }
    await Promise.all(under)
    await fleet.simulator.clearFaults()
    await Promise.all(Object.values(fleet.proxies).map((proxy) => proxy.heal()))
    for (const one of processes) one.signal('SIGCONT')
  }
  return { counts, done: run() }
}
