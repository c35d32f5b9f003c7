import { API_BORDERS, WORKER_BORDERS, type Strike } from './borders.ts'
import { dice, type Dice } from './seeded.ts'
import type { Variant } from './variant.ts'

/** What a seed makes happen, decided before the first job: so a run is repeated as far as real processes can be. */

export type Victim = 'api' | 'api-2' | 'worker-1' | 'worker-2'

export type Fault =
  | { kind: 'kill' | 'freeze' | 'terminate'; victim: Victim; strike: Strike | null }
  | { kind: 'redis_kill' | 'redis_freeze' | 'redis_full' | 'redis_forgets_scripts' }
  | { kind: 'redis_slow'; link: 'apiRedis' | 'workerRedis'; ms: number }
  | { kind: 'redis_cuts'; link: 'apiRedis' | 'workerRedis'; bytes: number }
  | { kind: 'upstream_cut' | 'upstream_refuses' | 'upstream_silent' }
  | { kind: 'upstream_slow'; ms: number }
  | { kind: 'upstream_dies' }
  | { kind: 'simulator'; name: string; on: object; off: object }

export type Planned = Fault & {
  /** ms from the start of the run */
  at: number
  /** ms */
  lasts: number
}

/** At which border the next life of a process is struck, if at all. */
export function strikeFor(random: Dice, victim: Victim): Strike | null {
  if (random.chance(0.3)) return null
  const borders = victim.startsWith('api') ? API_BORDERS : WORKER_BORDERS
  const [first = 'commit:accept:before', ...others] = borders
  return {
    border: random.pick([first, ...others]),
    pass: random.integer(1, 4),
    signal: random.chance(0.7) ? 'SIGKILL' : 'SIGSTOP',
  }
}

const processFault =
  (apis: number) =>
  (random: Dice): [Fault, lasts: number] => {
    const api: Victim = apis === 2 && random.chance(0.5) ? 'api-2' : 'api'
    const victim = random.pick([api, 'worker-1', 'worker-1', 'worker-2', 'worker-2'])
    const kind = random.pick(['kill', 'kill', 'freeze', 'terminate'])
    return [{ kind, victim, strike: strikeFor(random, victim) }, random.between(100, kind === 'freeze' ? 4000 : 1500)]
  }

function redisFault(random: Dice): [Fault, lasts: number] {
  const link = random.pick(['apiRedis', 'workerRedis'])
  switch (random.integer(0, 6)) {
    case 0:
      return [{ kind: 'redis_kill' }, random.between(300, 4000)]
    case 1:
      return [{ kind: 'redis_freeze' }, random.between(200, 3500)]
    case 2:
      return [{ kind: 'redis_full' }, random.between(500, 3000)]
    case 3:
      return [{ kind: 'redis_forgets_scripts' }, 0]
    case 4:
      return [{ kind: 'redis_slow', link, ms: random.integer(20, 500) }, random.between(500, 3000)]
    default:
      return [{ kind: 'redis_cuts', link, bytes: random.integer(0, 4000) }, random.between(100, 1500)]
  }
}

/** Faults of the simulator: on, and off again, by group and name. */
function simulatorFault(random: Dice): Fault {
  const one = (group: string, name: string, value: object | number): Fault => ({
    kind: 'simulator',
    name: `${group}.${name}`,
    on: { [group]: { [name]: value } },
    off: { [group]: { [name]: null } },
  })
  const probability = random.between(0.2, 1)
  return random.pick([
    one('create', 'status', { code: 429, retry_after: 1, probability }),
    one('create', 'status', { code: random.pick([500, 502, 503, 504]), probability }),
    one('create', 'status', { code: random.pick([401, 402]), next: 3 }),
    one('create', 'cut_before_accept', probability),
    one('create', 'cut_after_accept', probability),
    one('create', 'garbage', probability),
    one('create', 'delay', { seconds: random.between(0.2, 3), probability }),
    one('create', 'hide_webhook', probability),
    one('get', 'status', { code: random.pick([429, 500, 503]), retry_after: 1, probability }),
    one('get', 'not_found', { probability: 0.3 }),
    one('get', 'cut', probability),
    one('get', 'garbage', probability),
    one('get', 'delay', { seconds: random.between(0.2, 3), probability }),
    one('list', 'status', { code: random.pick([429, 500, 503]), retry_after: 1, probability }),
    one('list', 'cut', probability),
    one('list', 'garbage', probability),
    one('cancel', 'status', { code: 503, probability }),
    one('cancel', 'cut', probability),
    one('account', 'status', { code: 503, probability }),
    one('secret', 'status', { code: 503, probability }),
    one('files', 'status', { code: 503, probability }),
    one('files', 'cut', probability),
    one('files', 'delay', { seconds: random.between(0.2, 2), probability }),
    one('webhooks', 'drop', probability),
    one('webhooks', 'duplicate', { times: random.integer(1, 5), probability }),
    one('webhooks', 'delay', { seconds: random.between(0.2, 6), probability }),
    one('webhooks', 'reorder', probability),
    one('webhooks', 'wrong_signature', probability),
    one('webhooks', 'old_timestamp', probability),
    one('webhooks', 'two_signatures', probability),
    one('predictions', 'fail', { probability: 0.5 * probability }),
    one('predictions', 'fail', { probability: 0.3 * probability, error: 'Something went wrong in the model' }),
    one('predictions', 'huge_logs', { bytes: 100_000, probability: 0.3 * probability }),
  ])
}

function upstreamFault(random: Dice): [Fault, lasts: number] {
  const lasts = random.between(300, 2500)
  switch (random.integer(0, 9)) {
    case 0:
      return [{ kind: 'upstream_cut' }, 0]
    case 1:
      return [{ kind: 'upstream_refuses' }, lasts]
    case 2:
      return [{ kind: 'upstream_silent' }, lasts]
    case 3:
      return [{ kind: 'upstream_slow', ms: random.integer(20, 600) }, lasts]
    default:
      return [simulatorFault(random), lasts]
  }
}

/** One actor: its faults follow each other, with pauses between. */
function acts(
  random: Dice,
  length: number,
  pause: [number, number],
  next: (random: Dice) => [Fault, number],
  overlap: boolean,
): Planned[] {
  const planned: Planned[] = []
  let at = random.between(...pause)
  while (at < length) {
    const [fault, lasts] = next(random)
    planned.push({ ...fault, at: Math.round(at), lasts: Math.round(Math.min(lasts, Math.max(0, length - at))) })
    at += (overlap ? 0 : lasts) + random.between(...pause)
  }
  return planned
}

/** The strikes that the first lives of the processes meet. */
export function firstStrikes(seed: number): Record<Victim, Strike | null> {
  const random = dice(seed, 'first lives')
  return {
    api: strikeFor(random, 'api'),
    'worker-1': strikeFor(random, 'worker-1'),
    'worker-2': strikeFor(random, 'worker-2'),
    'api-2': strikeFor(random, 'api-2'),
  }
}

export function planFaults(seed: number, length: number, { apis, upstreamDies }: Variant): Planned[] {
  const death = (random: Dice): [Fault, number] => [{ kind: 'upstream_dies' }, random.between(100, 2500)]
  return [
    ...acts(dice(seed, 'processes'), length, [500, 2500], processFault(apis), true),
    ...(upstreamDies ? acts(dice(seed, 'upstream dies'), length, [2000, 6000], death, false) : []),
    ...acts(dice(seed, 'redis'), length, [500, 3000], redisFault, false),
    ...acts(dice(seed, 'upstream'), length, [200, 1000], upstreamFault, true),
  ].sort((a, b) => a.at - b.at)
}

export function describeFault(fault: Planned): string {
  const { at, lasts, ...rest } = fault
  const { kind, ...more } = rest
  return `${String(at).padStart(7)} ms for ${lasts} ms: ${kind} ${JSON.stringify(more)}`
}
