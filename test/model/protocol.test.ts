import { describe, expect, test } from 'vitest'
import { atRest, begin, broken, keyOf, moves, type Faults, type Mutant, type World } from './protocol-model.ts'

interface Exploration {
  states: number
  /** The steps to the first broken promise. */
  violation: { promise: string; steps: string[] } | null
  /** States from which rest cannot be reached. */
  stuck: number
}

const MAX_ATTEMPTS = 2

/** Every world that can come of `faults`, breadth first, so that a violation is the shortest one. */
function explore(faults: Faults, mutant: Mutant = 'none', start = begin(faults)): Exploration {
  const worlds = new Map<string, { world: World; from: string | null; step: string }>()
  const parents = new Map<string, string[]>()
  const rests: string[] = []
  let front = [keyOf(start)]
  worlds.set(keyOf(start), { world: start, from: null, step: 'accepted' })

  const path = (key: string | null): string[] => {
    const at = key === null ? undefined : worlds.get(key)
    return at ? [...path(at.from), at.step] : []
  }

  while (front.length > 0) {
    const found: string[] = []
    for (const key of front) {
      const world = worlds.get(key)?.world
      if (!world) continue
      if (atRest(world)) rests.push(key)
      for (const [step, next] of moves(world, mutant)) {
        if (next.state.job.attempt > MAX_ATTEMPTS) {
          // It continues beyond the explored depth.
          rests.push(key)
          continue
        }
        const promise = broken(world, next)
        if (promise) return { states: worlds.size, violation: { promise, steps: [...path(key), step] }, stuck: 0 }
        const nextKey = keyOf(next)
        parents.set(nextKey, [...(parents.get(nextKey) ?? []), key])
        if (worlds.has(nextKey)) continue
        worlds.set(nextKey, { world: next, from: key, step })
        found.push(nextKey)
      }
    }
    front = found
  }

  const canRest = new Set(rests)
  const queue = [...rests]
  for (let key = queue.pop(); key !== undefined; key = queue.pop())
    for (const parent of parents.get(key) ?? [])
      if (!canRest.has(parent)) {
        canRest.add(parent)
        queue.push(parent)
      }
  return { states: worlds.size, violation: null, stuck: worlds.size - canRest.size }
}

const NONE: Faults = { crashes: 0, lostAnswers: 0, lostReplies: 0, cancels: 0, platformFailures: 0, forgets: 0 }

describe('however the steps interleave, there is one live prediction, an end, and a hold that is resolved once', () => {
  test.each<[string, Partial<Faults>]>([
    ['with nothing wrong', {}],
    ['with answers of creates lost', { lostAnswers: 2 }],
    ['with a kill and a lost answer', { crashes: 1, lostAnswers: 1 }],
    ['with a cancel and a lost answer', { cancels: 1, lostAnswers: 1 }],
    ['with a failure of the platform', { platformFailures: 1, lostAnswers: 1 }],
    ['with a cut reply of Redis', { lostReplies: 1, crashes: 1 }],
    ['with a Redis that forgets an intent', { forgets: 1 }],
    ['with a Redis that forgets an intent, and a lost answer', { forgets: 1, lostAnswers: 1 }],
  ])('%s', (_name, faults) => {
    const { states, violation, stuck } = explore({ ...NONE, ...faults })
    expect(violation).toBeNull()
    expect(stuck).toBe(0)
    expect(states).toBeGreaterThan(50)
  })
})

test.each<[string, Partial<Faults>]>([
  ['with a lost answer', { lostAnswers: 1 }],
  ['with a kill', { crashes: 1 }],
  ['with a lost answer and a cancel', { lostAnswers: 1, cancels: 1 }],
])('also when the job is sent again after it stayed undecidable, %s', (_name, faults) => {
  // One worker: what two of them do to each other does not depend on it.
  const all = { ...NONE, ...faults }
  const { states, violation, stuck } = explore(all, 'none', begin(all, 'retry', 1))
  expect(violation).toBeNull()
  expect(stuck).toBe(0)
  expect(states).toBeGreaterThan(50)
})

describe('the exploration notices', () => {
  test('a worker that posts on an intent that it found', () => {
    const { violation } = explore({ ...NONE, crashes: 1 }, 'posts_on_found_intent')
    expect(violation?.promise).toMatch(/two (live )?predictions/)
  })
  test('a commit that does not compare', () => {
    expect(explore(NONE, 'no_compare').violation).not.toBeNull()
  })
  test('a commit that compares the revision, but not who wrote it', () => {
    expect(explore({ ...NONE, forgets: 1 }, 'no_basis').violation).not.toBeNull()
  })
  test('a permit without its clock', () => {
    expect(explore(NONE, 'no_permit_clock').violation).not.toBeNull()
  })
  test('a gate that does not wait for creates that began before it', () => {
    expect(explore({ ...NONE, forgets: 1 }, 'gate_does_not_wait').violation).not.toBeNull()
  })
  test('a memory that went back without anybody noticing', () => {
    expect(explore({ ...NONE, forgets: 1 }, 'gate_is_passed_by').violation?.promise).toMatch(/two (live )?predictions/)
  })
  test('credits that are taken beside the commit that ends the job', () => {
    expect(explore(NONE, 'settles_when_told').violation?.promise).toMatch(/has its hold resolved by/)
  })
  test('a commit without its id: a permit is lost with a reply', () => {
    const posts = (mutant: Mutant): boolean => {
      let world = begin({ ...NONE, lostReplies: 1 })
      for (const wanted of ['worker 0 loads', 'worker 0 intends, and the reply is lost']) {
        const move = moves(world, mutant).find(([name]) => name === wanted)
        if (!move) throw new Error(`no move ${wanted}`)
        world = move[1]
      }
      const replied = moves(world, mutant).find(([name]) => name.startsWith('worker 0 receives'))
      return replied !== undefined && moves(replied[1], mutant).some(([name]) => name === 'worker 0 posts')
    }
    expect(posts('none')).toBe(true)
    expect(posts('no_commit_id')).toBe(false)
  })
})
