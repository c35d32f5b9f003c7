import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ConfigError, parseConfig } from '../../src/shared/settings/config.ts'
import { formatDuration, parseDuration } from '../../src/shared/values/duration.ts'
import {
  CLOCKS,
  endsOf,
  firstCleanUp,
  FIRST_KEEP,
  freezeKeep,
  keepAgain,
  keepOf,
  keepProblem,
  resolveKeep,
  type DeploymentKeep,
  type Keep,
  type KeepLevels,
  type OwnKeep,
} from '../../src/shared/jobs/rules/keep.ts'
import { keepSchema, tenantKeepSchema } from '../../src/shared/jobs/rules/keep-schema.ts'
import { duePurge, filesAfter, owesPayload, owesRecord } from '../../src/shared/jobs/rules/purge.ts'
import { attemptRecord, jobRecord } from './support/job-states.ts'

/** How long jobs, payloads and files are kept: durations, levels, and what goes when. */

const HOUR = 3600
const DAY = 24 * HOUR

describe('a duration', () => {
  test.each([
    ['45s', 45, '45s'],
    ['90m', 5400, '90m'],
    ['24h', DAY, '1d'],
    ['36h', 36 * HOUR, '36h'],
    ['7d', 7 * DAY, '7d'],
    ['0s', 0, '0s'],
  ])('%s is %d s and is shown as %s', (text, seconds, shown) => {
    expect(parseDuration(text)).toBe(seconds)
    expect(formatDuration(seconds)).toBe(shown)
  })

  test.each(['', '7', 'd', '-1d', '1.5h', ' 1d', '1 d', '1w', '1D', '1d1h', 'forever', '1234567d'])(
    '%j is none',
    (text) => expect(parseDuration(text)).toBeNull(),
  )

  test('is read as it is shown', () => {
    const text = fc
      .tuple(fc.nat(999_999), fc.constantFrom('s', 'm', 'h', 'd'))
      .map(([count, unit]) => `${count}${unit}`)
    fc.assert(
      fc.property(text, (written) => {
        const seconds = parseDuration(written) ?? NaN
        return parseDuration(formatDuration(seconds)) === seconds
      }),
      { seed: 5 },
    )
    expect(formatDuration(Infinity)).toBe('forever')
  })
})

const USUAL: DeploymentKeep = { usual: FIRST_KEEP, max: FIRST_KEEP }
const resolved = (levels: Partial<KeepLevels>) =>
  resolveKeep({ deployment: USUAL, tenant: {}, preset: {}, job: {}, ...levels })
const clocks = ({ payload, job, files }: Keep): string => [payload, job, files].map(formatDuration).join(' ')
const refusals = (levels: Partial<KeepLevels>): string[] => resolved(levels).wrong.map(({ pointer }) => pointer)

describe('of deployment, tenant, preset and job', () => {
  const wide: DeploymentKeep = { usual: FIRST_KEEP, max: { payload: 7 * DAY, job: 30 * DAY, files: Infinity } }

  test.each<[string, Partial<KeepLevels>, string]>([
    ['no level sets anything', {}, '1d 7d 7d'],
    ['the preset keeps its files for good', { preset: { files: Infinity } }, '1d 7d forever'],
    ['the tenant keeps records longer, and so their files', { tenant: { job: 30 * DAY } }, '1d 30d 30d'],
    ['both say, and the shorter counts', { tenant: { files: 9 * DAY }, preset: { files: Infinity } }, '1d 7d 9d'],
    ['the other way round', { tenant: { files: Infinity }, preset: { files: 9 * DAY } }, '1d 7d 9d'],
    ['the tenant wants files gone, and the record with them', { tenant: { files: HOUR } }, '1h 1h 1h'],
    ['the payload gives way to a short record', { preset: { job: HOUR } }, '1h 1h 7d'],
    ['the job asks for less', { job: { payload: HOUR, job: 2 * HOUR, files: 3 * HOUR } }, '1h 2h 3h'],
    ['the job asks for its files to go early', { job: { files: 2 * HOUR } }, '2h 2h 2h'],
    ['the deployment allows more', { deployment: wide, job: { files: Infinity } }, '1d 7d forever'],
    ['a longer record brings its files along', { deployment: wide, job: { job: 30 * DAY } }, '1d 30d 30d'],
  ])('%s', (_name, levels, expected) => {
    expect(resolved(levels).wrong).toEqual([])
    expect(clocks(resolved(levels).keep)).toBe(expected)
  })

  test.each<[string, Partial<KeepLevels>, string[]]>([
    ['more than the deployment says', { job: { files: 8 * DAY } }, ['/files']],
    ['all of them', { job: { payload: 8 * DAY, job: 8 * DAY, files: Infinity } }, ['/payload', '/job', '/files']],
    [
      'more than the tenant has',
      { deployment: wide, tenant: { files: 9 * DAY }, job: { files: 10 * DAY } },
      ['/files'],
    ],
    [
      'a record whose files may not stay',
      { deployment: wide, tenant: { files: 9 * DAY }, job: { job: 30 * DAY } },
      ['/job'],
    ],
    [
      'a payload that outlives the record',
      { deployment: wide, tenant: { job: HOUR }, job: { payload: DAY } },
      ['/payload'],
    ],
  ])('a job that asks for %s is refused by its field', (_name, levels, expected) => {
    expect(refusals(levels)).toEqual(expected)
  })

  test('a job may ask for what the preset says beyond the deployment, and the refusal says how much', () => {
    const preset = { files: 90 * DAY }
    expect(refusals({ preset, job: { files: 90 * DAY } })).toEqual([])
    const [wrong] = resolved({ preset, job: { files: 91 * DAY } }).wrong
    expect(wrong).toEqual({
      pointer: '/files',
      code: 'too_long',
      detail: 'The limit is 90d (set by the preset or the tenant).',
    })
  })

  const own = fc.record(
    {
      payload: fc.integer({ min: 60, max: 9e6 }),
      job: fc.integer({ min: 60, max: 9e6 }),
      files: fc.integer({ min: 60, max: 9e6 }),
    },
    { requiredKeys: [] },
  )

  test('for all settings, payload <= record <= files, and nothing is kept longer than the tenant allows', () => {
    fc.assert(
      fc.property(own, own, own, (tenant: OwnKeep, preset: OwnKeep, job: OwnKeep) => {
        const { keep, wrong } = resolved({ deployment: wide, tenant, preset, job })
        expect(keep.payload).toBeLessThanOrEqual(keep.job)
        expect(keep.job).toBeLessThanOrEqual(keep.files)
        if (wrong.length > 0) return
        for (const clock of CLOCKS) if (job[clock] !== undefined) expect(keep[clock]).toBe(job[clock])
        if (tenant.payload !== undefined) expect(keep.payload).toBeLessThanOrEqual(tenant.payload)
        if (tenant.job !== undefined) expect(keep.job).toBeLessThanOrEqual(tenant.job)
      }),
      { seed: 5, numRuns: 300 },
    )
  })

  test('a retry has what the first had, within what the tenant has now', () => {
    const first = freezeKeep({ payload: HOUR, job: 9 * DAY, files: Infinity })
    expect(keepAgain(first, USUAL, {})).toEqual(first)
    expect(keepAgain(first, USUAL, { files: 2 * DAY })).toEqual([HOUR, 2 * DAY, 2 * DAY])
    expect(keepAgain(null, USUAL, { payload: HOUR })).toEqual([HOUR, 7 * DAY, 7 * DAY])
  })
})

describe('the values of one level', () => {
  test.each<[object, string]>([
    [{ job: 'forever' }, 'Forever is for files only'],
    [{ payload: 'forever' }, 'Forever is for files only'],
    [{ job: '366d' }, '1m to 365d'],
    [{ job: '59s' }, '1m to 365d'],
    [{ files: '4000d' }, 'or forever'],
    [{ files: 7 }, 'or forever'],
    [{ files: '1d', job: '2d' }, 'as long as the record or longer: 2d'],
    [{ payload: '3d', job: '2d' }, 'no longer than the record: 2d'],
    [{ payload: '3d', files: '2d' }, 'no longer than the record: 2d'],
    [{ jobs: '1d' }, 'jobs'],
  ])('%j is refused', (value, words) => {
    expect(JSON.stringify(keepSchema.safeParse(value).error?.issues)).toContain(words)
  })

  test('may be left out, and null gives a tenant those of the deployment', () => {
    expect(keepSchema.parse({ files: 'forever' })).toEqual({ files: Infinity })
    expect(keepSchema.parse({})).toEqual({})
    expect(tenantKeepSchema.parse({ files: null, job: '1d' })).toEqual({ files: null, job: DAY })
    expect(keepProblem({ payload: 1, job: 1, files: Infinity })).toBeNull()
  })
})

describe('the configuration', () => {
  const keepFrom = (env: Record<string, string>) => parseConfig(env).keep
  const wrongOf = (env: Record<string, string>): string => {
    try {
      parseConfig(env)
      return ''
    } catch (error) {
      return error instanceof ConfigError ? error.message : String(error)
    }
  }

  test.each<[Record<string, string>, string, string]>([
    [{}, '1d 7d 7d', '1d 7d 7d'],
    [{ KEEP_FILES: 'forever' }, '1d 7d forever', '1d 7d forever'],
    [{ KEEP_JOB: '30d' }, '1d 30d 30d', '1d 30d 30d'],
    [{ KEEP_JOB: '2h' }, '2h 2h 7d', '2h 2h 7d'],
    [{ KEEP_FILES: '2d' }, '1d 2d 2d', '1d 2d 2d'],
    [{ KEEP_JOB_MAX: '30d' }, '1d 7d 7d', '1d 30d 30d'],
    [{ KEEP_FILES_MAX: 'forever' }, '1d 7d 7d', '1d 7d forever'],
  ])('%j', (env, usual, max) => {
    expect(clocks(keepFrom(env).usual)).toBe(usual)
    expect(clocks(keepFrom(env).max)).toBe(max)
  })

  test.each<[Record<string, string>, string]>([
    [
      { KEEP_JOB: 'forever' },
      'KEEP_JOB: read "forever", expected a whole number with s, m, h or d: 1m to 365d (forever is for files only)',
    ],
    [{ KEEP_PAYLOAD: '9d' }, 'KEEP_PAYLOAD: read 9d, expected KEEP_JOB or less (7d)'],
    [{ KEEP_FILES: '1d', KEEP_JOB: '2d' }, 'KEEP_FILES: read 1d, expected KEEP_JOB or more (2d)'],
    [{ KEEP_JOB: '9d', KEEP_JOB_MAX: '8d' }, 'KEEP_JOB_MAX: read 8d, expected KEEP_JOB or more (9d)'],
    [{ KEEP_FILES_MAX: '8d', KEEP_JOB_MAX: '9d' }, 'KEEP_FILES_MAX: read 8d, expected KEEP_JOB_MAX or more (9d)'],
  ])('%j stops the start', (env, message) => expect(wrongOf(env)).toBe(message))
})

describe('a record', () => {
  const END = 1_000_000_000_000
  const ended = (keep: readonly [number, number, number | null] | null) => ({ keep, completed_at: END })

  test('of the first release is kept as was promised then, or as the deployment says if that is longer', () => {
    expect(clocks(keepOf({ keep: null }, USUAL))).toBe('1d 7d 7d')
    const short = { usual: { payload: HOUR, job: HOUR, files: Infinity } }
    expect(clocks(keepOf({ keep: null }, short))).toBe('1d 7d forever')
    expect(firstCleanUp({ keep: null }, 7_200_000)).toBe(7_200_000)
  })

  test('keeps its own clocks when the deployment changes later', () => {
    const other = { usual: { payload: DAY, job: 9 * DAY, files: 9 * DAY } }
    expect(endsOf(ended([60, 120, null]), other)).toEqual({
      payload: END + 60_000,
      // A key is forgotten with the record, not before.
      entry: END + 120_000,
      job: END + 120_000,
      files: Infinity,
    })
    expect(firstCleanUp({ keep: [60, 120, null] }, 7_200_000)).toBe(60_000)
    expect(endsOf({ keep: null, completed_at: null }, USUAL)).toBeNull()
  })

  test('remembers an idempotency key for a day although its payload goes sooner', () => {
    const ends = endsOf(ended([HOUR, 7 * DAY, 7 * DAY]), USUAL)
    expect(ends).toMatchObject({ payload: END + 3_600_000, entry: END + DAY * 1000 })
  })

  test('loses each part at its time, in any order, and is looked at again when the next one is due', () => {
    const ends = endsOf(ended([HOUR, 7 * DAY, 7 * DAY]), USUAL)
    if (!ends) throw new Error('no ends')
    const at = (seconds: number) => duePurge(END, ends, END + seconds * 1000, 7_200_000)
    expect(at(0)).toEqual({ parts: [], next: END + 3_600_000 })
    expect(at(HOUR)).toEqual({ parts: ['payload'], next: END + 7_200_000 })
    expect(at(3 * HOUR)).toEqual({ parts: ['index', 'payload'], next: END + DAY * 1000 })
    expect(at(2 * DAY)).toEqual({ parts: ['index', 'payload', 'entry'], next: ends.job })
    expect(at(7 * DAY)).toEqual({ early: false })
    const short = endsOf(ended([60, 60, 60]), USUAL)
    expect(short && duePurge(END, short, END + 60_000, 7_200_000)).toEqual({ early: true })
  })

  test('leaves files behind only where there are some and their time is longer', () => {
    const job = jobRecord('succeeded')
    const artifacts = [{ key: 'k' } as (typeof job.artifacts)[number]]
    const ends = { payload: 1, entry: 1, job: 2, files: 3 }
    expect(filesAfter({ artifacts }, ends)).toEqual({ stay: true, until: 3 })
    expect(filesAfter({ artifacts }, { ...ends, files: Infinity })).toEqual({ stay: true, until: Infinity })
    expect(filesAfter({ artifacts }, { ...ends, files: 2 })).toEqual({ stay: false })
    expect(filesAfter({ artifacts: [] }, ends)).toEqual({ stay: false })
  })

  test('keeps its payload while something is owed with it, and itself while anything is', () => {
    const closed = attemptRecord({ state: 'closed' })
    const owed = (...attempts: (typeof closed)[]) => [
      owesPayload({ attempts, effects: [] }),
      owesRecord({ attempts, effects: [] }),
    ]
    expect(owed()).toEqual([false, false])
    expect(owed(closed)).toEqual([false, false])
    expect(owed(closed, attemptRecord({ state: 'open' }))).toEqual([false, true])
    for (const state of ['intended', 'unknown'] as const)
      expect(owed(closed, attemptRecord({ state }))).toEqual([true, true])
    const cancel = { v: 1, kind: 'cancel', attempt: 1, prediction_id: 'p', requested_at: 0 } as const
    expect(owesPayload({ attempts: [], effects: [cancel] })).toBe(false)
    expect(owesRecord({ attempts: [], effects: [cancel] })).toBe(true)
  })
})
