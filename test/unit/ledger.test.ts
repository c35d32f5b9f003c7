import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  decodeAccount,
  decodeEntry,
  ENTRY_ID,
  entryTime,
  type Balances,
  type CreditAccount,
  type LedgerEntry,
} from '../../src/shared/credits/rules/ledger.ts'
import { createReplay, type LedgerProblem } from '../../src/shared/credits/rules/replay-ledger.ts'
import { verifyLedger, type JobCharge, type LedgerSource } from '../../src/shared/credits/verify-ledger.ts'

/** An honest account, written here a second time: what the scripts should do, without them. */
class Books {
  account: CreditAccount = { granted: 0, balance: 0, held: 0, captured: 0, limited: false, low_balance: null }
  readonly entries: LedgerEntry[] = []
  readonly jobs = new Map<string, JobCharge>()

  private move(changes: Partial<Balances>): void {
    const { account } = this
    for (const name of ['granted', 'balance', 'held', 'captured'] as const) account[name] += changes[name] ?? 0
  }

  private enter(kind: LedgerEntry['kind'], amount: number, more: Partial<LedgerEntry> = {}): void {
    const { limited: _, ...after } = this.account
    const id = `1700000000000-${this.entries.length}`
    this.entries.push({
      id,
      kind,
      amount,
      after,
      job: null,
      batch: null,
      budgets: [],
      uncollected: 0,
      reason: null,
      ...more,
    })
  }

  grant(amount: number): void {
    if (!this.account.limited && this.account.balance < 0) {
      const opening = -this.account.balance
      this.move({ granted: opening, balance: opening })
      this.enter('opening', opening)
    }
    this.account.limited = true
    this.move({ granted: amount, balance: amount })
    this.enter('grant', amount, { reason: 'bought' })
  }

  adjust(amount: number): void {
    if (amount < 0 && this.account.balance + amount < 0) return
    this.move({ granted: amount, balance: amount })
    this.enter('adjustment', amount, { reason: 'mended' })
  }

  accept(job: string, estimate: number): void {
    if (this.account.limited && this.account.balance < estimate) return
    this.move({ balance: -estimate, held: estimate })
    this.jobs.set(job, { priced: true, final: false, estimate, captured: null, uncollected: 0 })
    this.enter('hold', estimate, { job })
  }

  end(job: string, actual: number | null): void {
    const charge = this.jobs.get(job)
    if (!charge || charge.final) return
    const { estimate } = charge
    if (actual === null) {
      this.move({ held: -estimate, balance: estimate })
      this.jobs.set(job, { ...charge, final: true, captured: 0 })
      this.enter('release', estimate, { job })
      return
    }
    const most = estimate + Math.max(0, this.account.balance)
    const captured = this.account.limited ? Math.min(actual, most) : actual
    const uncollected = actual - captured
    this.move({ held: -estimate, balance: estimate - captured, captured })
    this.jobs.set(job, { ...charge, final: true, captured, uncollected })
    this.enter('capture', captured, { job, uncollected })
  }
}

const amount = fc.integer({ min: 0, max: 1000 })
const job = fc.integer({ min: 0, max: 9 }).map((n) => `job_${n}`)
const act = fc.oneof(
  fc.record({ do: fc.constant('grant' as const), amount }),
  fc.record({ do: fc.constant('adjust' as const), amount: fc.integer({ min: -500, max: 500 }) }),
  fc.record({ do: fc.constant('accept' as const), amount }),
  fc.record({ do: fc.constant('capture' as const), job, amount }),
  fc.record({ do: fc.constant('release' as const), job }),
)
type Act = typeof act extends fc.Arbitrary<infer T> ? T : never

function booksOf(acts: readonly Act[]): Books {
  const books = new Books()
  let next = 0
  for (const one of acts) {
    if (one.do === 'grant') books.grant(one.amount)
    else if (one.do === 'adjust') books.adjust(one.amount)
    else if (one.do === 'accept') books.accept(`job_${next++}`, one.amount)
    else if (one.do === 'capture') books.end(one.job, one.amount)
    else books.end(one.job, null)
  }
  return books
}

function sourceOf({ account, entries, jobs }: Books): LedgerSource {
  return {
    moment: async () => ({ account, last: entries.at(-1)?.id ?? null }),
    async *entries(_tenant, after, upTo) {
      const from = after === null ? 0 : entries.findIndex(({ id }) => id === after) + 1
      const to = entries.findIndex(({ id }) => id === upTo) + 1
      for (let at = from; at < to; at += 3) yield entries.slice(at, Math.min(at + 3, to))
    },
    charges: async (ids) => ids.map((id) => jobs.get(id) ?? null),
    async *openJobs() {
      yield [...jobs].filter(([, { final }]) => !final).map(([id]) => id)
    },
  }
}

function replayed(entries: readonly LedgerEntry[]): LedgerProblem[] {
  const replay = createReplay()
  return entries.flatMap((entry) => replay.take(entry))
}

describe('an honest ledger', () => {
  test('replays without a problem, after any sequence of acts', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 60 }), async (acts) => {
        const books = booksOf(acts)
        const verdict = await verifyLedger(sourceOf(books), 'default')
        expect(verdict).toEqual({
          tenant: 'default',
          entries: books.entries.length,
          openHolds: [...books.jobs.values()].filter(({ final }) => !final).length,
          found: 0,
          problems: [],
        })
      }),
    )
  })

  test('that nothing was written in is one of nothing', async () => {
    expect(await verifyLedger(sourceOf(new Books()), 'default')).toMatchObject({ entries: 0, problems: [] })
  })
})

/** Each changes one thing in books that hold, so that they do not any more. */
const entryAt = (books: Books, pick: number, kinds: readonly string[]): LedgerEntry | undefined => {
  const fit = books.entries.filter(({ kind }) => kinds.includes(kind))
  return fit[pick % Math.max(1, fit.length)]
}
const swap = (books: Books, entry: LedgerEntry, ...others: LedgerEntry[]): void => {
  books.entries.splice(books.entries.indexOf(entry), 1, ...others)
}
const ANY = ['opening', 'grant', 'adjustment', 'hold', 'capture', 'release']

/** Answers whether there was something to change. */
const MUTANTS: Record<string, (books: Books, pick: number) => boolean> = {
  'an amount is another': (books, pick) => {
    const entry = entryAt(books, pick, ANY)
    if (entry) swap(books, entry, { ...entry, amount: entry.amount + 1 })
    return entry !== undefined
  },
  'a balance after an entry is another': (books, pick) => {
    const entry = entryAt(books, pick, ANY)
    if (entry) swap(books, entry, { ...entry, after: { ...entry.after, balance: entry.after.balance - 1 } })
    return entry !== undefined
  },
  'two figures after an entry are others, and add up': (books, pick) => {
    const entry = entryAt(books, pick, ANY)
    if (entry) {
      const { balance, captured } = entry.after
      swap(books, entry, { ...entry, after: { ...entry.after, balance: balance - 1, captured: captured + 1 } })
    }
    return entry !== undefined
  },
  'an entry is missing': (books, pick) => {
    const entry = entryAt(books, pick, ANY)
    if (!entry || (entry.amount === 0 && entry.job === null)) return false
    swap(books, entry)
    return true
  },
  'an entry stands twice': (books, pick) => {
    const entry = entryAt(books, pick, ANY)
    if (!entry || (entry.amount === 0 && entry.job === null)) return false
    swap(books, entry, entry, { ...entry, id: `${entry.id}1` })
    return true
  },
  'a capture is a release': (books, pick) => {
    const entry = entryAt(books, pick, ['capture'])
    if (!entry || entry.after.captured === 0 || entry.amount === 0) return false
    swap(books, entry, { ...entry, kind: 'release', uncollected: 0 })
    return true
  },
  'a release is a capture': (books, pick) => {
    const entry = entryAt(books, pick, ['release'])
    if (!entry || entry.amount === 0) return false
    swap(books, entry, { ...entry, kind: 'capture' })
    return true
  },
  'a settlement is for another job': (books, pick) => {
    const entry = entryAt(books, pick, ['capture', 'release'])
    if (entry) swap(books, entry, { ...entry, job: 'job_none' })
    return entry !== undefined
  },
  'a hold is for another job': (books, pick) => {
    const entry = entryAt(books, pick, ['hold'])
    if (entry) swap(books, entry, { ...entry, job: 'job_none' })
    return entry !== undefined
  },
  'the account is not what its last entry says': (books) => {
    books.account = { ...books.account, held: books.account.held + 1, balance: books.account.balance - 1 }
    return true
  },
  'the account is limited without a grant, or not limited with one': (books) => {
    books.account = { ...books.account, limited: !books.account.limited }
    return true
  },
  'a job that has ended goes on': (books, pick) => {
    const entry = entryAt(books, pick, ['capture', 'release'])
    const charge = entry?.job ? books.jobs.get(entry.job) : undefined
    if (!entry?.job || !charge) return false
    books.jobs.set(entry.job, { ...charge, final: false })
    return true
  },
  'a job has ended, and its hold has not': (books, pick) => {
    const [id, charge] = [...books.jobs].filter(([, { final }]) => !final)[pick % 10] ?? []
    if (id === undefined || !charge) return false
    books.jobs.set(id, { ...charge, final: true, captured: 0 })
    return true
  },
  'a job with a hold is gone': (books, pick) => {
    const [id] = [...books.jobs].filter(([, { final }]) => !final)[pick % 10] ?? []
    return id !== undefined && books.jobs.delete(id)
  },
  'a job has no hold': (books) => {
    books.jobs.set('job_poor', { priced: true, final: false, estimate: 1, captured: null, uncollected: 0 })
    return true
  },
  'a job was estimated otherwise than was held': (books, pick) => {
    const [id, charge] = [...books.jobs].filter(([, { final }]) => !final)[pick % 10] ?? []
    if (id === undefined || !charge) return false
    books.jobs.set(id, { ...charge, estimate: charge.estimate + 1 })
    return true
  },
  'a job says that another amount was captured': (books, pick) => {
    const entry = entryAt(books, pick, ['capture', 'release'])
    const charge = entry?.job ? books.jobs.get(entry.job) : undefined
    if (!entry?.job || !charge) return false
    books.jobs.set(entry.job, { ...charge, captured: (charge.captured ?? 0) + 1 })
    return true
  },
  'a job says that another amount was left': (books, pick) => {
    const entry = entryAt(books, pick, ['capture'])
    const charge = entry?.job ? books.jobs.get(entry.job) : undefined
    if (!entry?.job || !charge) return false
    books.jobs.set(entry.job, { ...charge, uncollected: charge.uncollected + 1 })
    return true
  },
}

describe('a ledger is found to be wrong when', () => {
  test.each(Object.keys(MUTANTS))('%s', async (name) => {
    const mutate = MUTANTS[name]
    let tried = 0
    await fc.assert(
      fc.asyncProperty(fc.array(act, { minLength: 10, maxLength: 60 }), fc.nat(), async (acts, pick) => {
        const books = booksOf(acts)
        if (!mutate?.(books, pick)) return
        tried += 1
        expect((await verifyLedger(sourceOf(books), 'default')).found).toBeGreaterThan(0)
      }),
    )
    expect(tried).toBeGreaterThan(10)
  })
})

describe('a replay', () => {
  const first: LedgerEntry = {
    id: '1-0',
    kind: 'hold',
    amount: 5,
    after: { granted: 0, balance: -5, held: 5, captured: 0 },
    job: 'job_a',
    batch: null,
    budgets: [],
    uncollected: 0,
    reason: null,
  }
  const released: LedgerEntry = {
    ...first,
    id: '2-0',
    kind: 'release',
    after: { granted: 0, balance: 0, held: 0, captured: 0 },
  }

  test('finds a hold that is made and resolved twice, although everything adds up', () => {
    const again = [
      { ...first, id: '3-0' },
      { ...released, id: '4-0' },
    ]
    expect(replayed([first, released, ...again])).toEqual([
      { rule: 'hold_resolved', id: '3-0', detail: 'a second hold for job_a' },
    ])
  })

  test('reports a mistake once, and continues from the recorded state', () => {
    const wrong = { ...first, after: { granted: 0, balance: -6, held: 6, captured: 0 } }
    const next = { ...first, id: '2-0', job: 'job_b', after: { granted: 0, balance: -11, held: 11, captured: 0 } }
    expect(replayed([wrong, next]).map(({ id }) => id)).toEqual(['1-0'])
  })

  test.each<[string, Partial<LedgerEntry>[]]>([
    ['an opening that no grant follows', [{ kind: 'opening', amount: 1 }, { kind: 'release' }]],
    ['a negative grant', [{ kind: 'grant', amount: -1, job: null }]],
    [
      'a hold beyond the balance of a limited account',
      [
        { kind: 'grant', amount: 1, job: null, after: { granted: 1, balance: 1, held: 0, captured: 0 } },
        { kind: 'hold', amount: 2, after: { granted: 1, balance: -1, held: 2, captured: 0 } },
      ],
    ],
    [
      'an adjustment below nothing',
      [{ kind: 'adjustment', amount: -1, job: null, after: { granted: -1, balance: -1, held: 0, captured: 0 } }],
    ],
  ])('finds %s', (_, entries) => {
    const problems = replayed(entries.map((changes, i) => ({ ...first, id: `${i}-0`, ...changes })))
    expect(problems.filter(({ rule }) => rule === 'adds_up').length).toBeGreaterThan(0)
  })
})

describe('an entry', () => {
  test('is read as it was written', () => {
    const fields = ['kind', 'capture', 'amount', '3', 'granted', '9', 'balance', '-2', 'held', '1', 'captured', '10']
    expect(decodeEntry('17-1', [...fields, 'job', 'job_a', 'batch', '', 'uncollected', '4'])).toEqual({
      id: '17-1',
      kind: 'capture',
      amount: 3,
      after: { granted: 9, balance: -2, held: 1, captured: 10 },
      job: 'job_a',
      batch: null,
      budgets: [],
      uncollected: 4,
      reason: null,
    })
    expect(entryTime({ id: '17-1' })).toBe(17)
    expect(['17-1', '17', '-1', 'a-b'].map((id) => ENTRY_ID.test(id))).toEqual([true, false, false, false])
  })

  test('that says what no entry says is refused', () => {
    expect(() => decodeEntry('1-0', ['kind', 'gift', 'amount', '3'])).toThrow()
    expect(() => decodeAccount({ balance: 'much' })).toThrow()
    expect(decodeAccount({})).toEqual({
      granted: 0,
      balance: 0,
      held: 0,
      captured: 0,
      limited: false,
      low_balance: null,
    })
  })
})
