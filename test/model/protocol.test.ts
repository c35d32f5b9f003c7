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

interface Visited {
  world: World
  /** Which world it was first reached from, by which step; -1: none. */
  from: number
  step: string
  /** All worlds that lead to it. */
  parents: number[]
  canRest: boolean
}

/** Every world that can come of `faults`, breadth first, so that a violation is the shortest one. */
function explore(faults: Faults, mutant: Mutant = 'none', start = begin(faults)): Exploration {
  const places = new Map<string, number>()
  const worlds: Visited[] = []
  const rests: number[] = []
  const visit = (world: World, key: string, from: number, step: string): void => {
    places.set(key, worlds.length)
    worlds.push({ world, from, step, parents: from < 0 ? [] : [from], canRest: false })
  }
  visit(start, keyOf(start), -1, 'accepted')

  const path = (at: number): string[] => {
    const visited = worlds[at]
    return visited ? [...path(visited.from), visited.step] : []
  }

  // Worlds that are found on the way are appended.
  for (const [at, { world }] of worlds.entries()) {
    if (atRest(world)) rests.push(at)
    for (const [step, next] of moves(world, mutant)) {
      if (next.state.job.attempt > MAX_ATTEMPTS) {
        // It continues beyond the explored depth.
        rests.push(at)
        continue
      }
      const promise = broken(world, next)
      if (promise) return { states: worlds.length, violation: { promise, steps: [...path(at), step] }, stuck: 0 }
      const nextKey = keyOf(next)
      const known = places.get(nextKey)
      if (known === undefined) visit(next, nextKey, at, step)
      else worlds[known]?.parents.push(at)
    }
  }

  let canRest = 0
  const queue = [...rests]
  for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
    const visited = worlds[at]
    if (!visited || visited.canRest) continue
    visited.canRest = true
    canRest += 1
    queue.push(...visited.parents)
  }
  return { states: worlds.length, violation: null, stuck: worlds.length - canRest }
}

const NONE: Faults = { crashes: 0, lostAnswers: 0, lostReplies: 0, cancels: 0, platformFailures: 0, forgets: 0 }

describe('however the steps interleave, there is one live prediction in all accounts, an end, and each hold, slot and budget is settled once', () => {
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
  test('slots that are given back beside the commit that ends the job', () => {
    expect(explore(NONE, 'lands_when_told').violation?.promise).toMatch(/counts -?\d times for/)
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
