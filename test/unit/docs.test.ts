import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseEnv } from 'node:util'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { apiDescriptionSchema, METHODS } from '../../src/api/api-description.ts'
import { isReplicateDelivery } from '../../src/shared/artifacts/rules/delivery.ts'
import { parseConfig } from '../../src/shared/settings/config.ts'
import { VARIABLE_NAMES } from '../../src/shared/settings/config-variables.ts'
import { CHECK_NAMES } from '../../src/shared/doctor/rules/check.ts'
import { ERRORS } from '../../src/shared/errors/service-error.ts'
import { PHASES, type JobState } from '../../src/shared/jobs/rules/job.ts'
import { applyCommit } from '../../src/shared/jobs/rules/apply-commit.ts'
import type { JobEvent, TransitionContext } from '../../src/shared/jobs/rules/decision.ts'
import { DEFAULT_TIMINGS } from '../../src/shared/jobs/rules/timings.ts'
import { transition } from '../../src/shared/jobs/rules/transitions.ts'
import { classifyFailure, FAILURE_CLASSES } from '../../src/shared/replicate/rules/failure-classes.ts'
import { CLAIM, jobRecord, NOW, prediction } from './support/job-states.ts'

/** The documents against the code: what can be compared is compared. */

const root = join(import.meta.dirname, '../..')
const read = (file: string): string => readFileSync(join(root, file), 'utf8')
const groups = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map((match) => match[1] ?? '')

const pages = [
  'README.md',
  'CHANGELOG.md',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
]

/** A part of a page, from its heading to the next. */
function part(page: string, heading: string): string {
  const [, after = ''] = read(page).split(`\n${heading}\n`)
  return after.split(/\n#+ /)[0] ?? ''
}

/** As GitHub makes anchors of headings. */
const anchorsOf = (page: string): string[] =>
  groups(read(page).replace(/^```[^]*?^```/gm, ''), /^#+ (.+)$/gm).map((heading) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  )

describe.each(pages)('%s', (page) => {
  test('leads nowhere that is not there', () => {
    const prose = read(page).replace(/^```[^]*?^```/gm, '')
    const links = groups(prose, /\]\(([^)\s]+)\)/g).filter((link) => !/^https?:/.test(link))
    for (const link of links) {
      const [file = '', anchor] = link.split('#')
      const target = file === '' ? page : join(dirname(page), file)
      expect(existsSync(join(root, target)), link).toBe(true)
      if (anchor !== undefined) expect(anchorsOf(target), link).toContain(anchor)
    }
  })

  test('has samples that parse, and names no place of one machine', () => {
    for (const sample of groups(read(page), /^```json[^\n]*\n([^]*?)^```/gm)) JSON.parse(sample)
    expect(read(page)).not.toMatch(/(?<![\w.])\/(?:work|root|home|Users|tmp|opt|var)\//)
  })
})

describe('the configuration', () => {
  test('.env.example has every variable once, with the default that it has', () => {
    const lines = read('.env.example')
      .split('\n')
      .filter((line) => /^(?:# )?[A-Z][A-Z0-9_]*=/.test(line))
    expect(lines.every((line) => line.startsWith('# '))).toBe(true)
    expect(groups(lines.join('\n'), /^# ([A-Z][A-Z0-9_]*)=/gm).sort()).toEqual([...VARIABLE_NAMES].sort())
    const given = parseEnv(lines.map((line) => line.slice(2)).join('\n'))
    const { simulator, ...service } = parseConfig(given)
    expect(service).toEqual({ ...parseConfig({}), simulator: undefined })
    expect(simulator).toMatchObject({ ...parseConfig({}).simulator, createsPerMinute: 600, readsPerMinute: 3000 })
  })

  test('docs/configuration.md has every variable, and no other', () => {
    expect(groups(read('docs/configuration.md'), /^\| `([A-Z][A-Z0-9_]*)` \|/gm).sort()).toEqual(
      [...VARIABLE_NAMES].sort(),
    )
  })

  test('the README and the other pages name no variable that does not exist', () => {
    const elsewhere = [
      // Of the compose file, beside the service's own.
      ...groups(read('docker-compose.yml'), /\$\{([A-Z][A-Z0-9_]*)/g),
      'GENQUEUE',
      'GENQUEUE_URL',
      'GENQUEUE_API_KEY',
      'KEY',
      'ID',
      'FILE',
      'SLOW',
      'SIMULATOR_HOST',
      'SIMULATOR_DATA',
      'TEST_REDIS_URL',
      'WAITING_JOBS',
      'XDG_CACHE_HOME',
    ]
    const known = [...VARIABLE_NAMES, ...elsewhere]
    for (const page of pages.filter((name) => name !== join('docs', 'simulator.md'))) {
      const named = groups(read(page), /`([A-Z][A-Z0-9]*(?:_[A-Z]+)+)(?:=[^`]*)?`/g)
      expect(known, page).toEqual(expect.arrayContaining(named))
    }
  })
})

test('docs/troubleshooting.md has every check of the doctor, in the order of a report', () => {
  expect(groups(part('docs/troubleshooting.md', '## Checks'), /^\| `(\w+)` \|/gm)).toEqual([...CHECK_NAMES])
})

describe('docs/errors.md', () => {
  const rows = (heading: string): string[][] =>
    part('docs/errors.md', heading)
      .split('\n')
      .filter((line) => line.startsWith('| `'))
      .map((line) => line.split('|').map((cell) => cell.trim().replaceAll('`', '')))

  test('has every error of a request, with its status and whether it helps to ask again', () => {
    const documented = rows('## Request errors').map(([, code, status, again]) => [
      code,
      Number(status),
      again === 'yes',
    ])
    expect(documented).toEqual(Object.entries(ERRORS).map(([code, { status, retryable }]) => [code, status, retryable]))
  })

  test('has every error of a job', () => {
    const rules = readdirSync(join(root, 'src/shared/jobs/rules'))
    const submit = ['rejection', 'prepare-input'].map((name) => read(`src/workers/${name}.ts`)).join('\n')
    const used = [
      ...rules.flatMap((name) => groups(read(join('src/shared/jobs/rules', name)), /\bfailed\(\s*'(\w+)'/g)),
      ...rules.flatMap((name) => groups(read(join('src/shared/jobs/rules', name)), /error: \{ code: '(\w+)'/g)),
      ...groups(submit, /^\s+\d{3}: '(\w+)',$/gm),
      ...groups(submit, /\?\? '(\w+)'/g),
      ...groups(submit, /\bcode: '(\w+)'/g),
      ...FAILURE_CLASSES.map(({ code }) => code),
      classifyFailure('its own words').code,
    ]
    expect(rows('## Job errors').map(([, code]) => code)).toEqual(expect.arrayContaining([...new Set(used)]))
    expect(rows('## Job errors')).toHaveLength(new Set(used).size)
  })
})

/** Every change of phase that can come of a new job: the machine is run, not read. */
function edgesOfMachine(): Set<string> {
  const edges = new Set<string>()
  const seen = new Set<string>()
  const open = (['fail', 'retry'] as const).map((on_unknown) => ({ state: newJob(on_unknown), now: NOW }))
  // What decides, and nothing that grows without end.
  const shape = ({ job, attempts, effects }: JobState): string => {
    const { state, absent_since, missing_since, prediction_id } = attempts.at(-1) ?? {}
    return JSON.stringify([
      [job.phase, job.stop?.reason, job.on_unknown, job.resubmissions, job.prediction_id === null, attempts.length > 0],
      [state, absent_since === null, missing_since === null, prediction_id === null],
      [...new Set(effects.map(({ kind }) => kind))].sort(),
    ])
  }
  for (let next = open.pop(); next; next = open.pop()) {
    const { state, now: before } = next
    for (const wait of [0, 10 * MINUTE, 55 * MINUTE, 30 * DAY])
      for (const event of eventsFor(state, before + wait)) {
        const now = before + wait
        const decision = transition(state, event, machineContext(now))
        if (decision.kind === 'ignored') continue
        const after = applyCommit(state, decision, now)
        if (after.job.phase !== state.job.phase) edges.add(`${state.job.phase} --> ${after.job.phase}`)
        if (seen.has(shape(after))) continue
        seen.add(shape(after))
        open.push({ state: after, now })
      }
  }
  return edges
}

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

const newJob = (on_unknown: 'fail' | 'retry'): JobState => ({
  job: jobRecord('queued', {
    on_unknown,
    start_since: NOW,
    start_paused: 0,
    resubmissions: 0,
    resubmit_limit: 1,
    retry_of: null,
    partial: null,
  }),
  attempts: [],
  effects: [],
})

const machineContext = (now: number): TransitionContext => ({
  now,
  paused: 0,
  cause: 'webhook',
  timings: DEFAULT_TIMINGS,
  webhooks: true,
  expected: null,
  delivers: isReplicateDelivery,
})

/** All that may happen to the newest attempt of a job, or be reported of the next one. */
function eventsFor({ job: { attempt } }: JobState, now: number): JobEvent[] {
  const at = { attempt, claim: CLAIM }
  const error = { code: 'input_rejected', message: '', retryable: false, billed: 'no' as const }
  const seen = (status: string, more: { output?: string; error?: string; attempt?: number } = {}): JobEvent => {
    const { attempt: of = attempt, ...rest } = more
    return {
      type: 'observed',
      attempt: of,
      prediction: prediction(status, { id: `prediction-${of}`, created_at: now, ...rest }),
    }
  }
  // Of an attempt that Redis has forgotten.
  const forgotten = { attempt: attempt + 1 }
  return [
    { type: 'intend', claim: CLAIM },
    { type: 'not_prepared', error: null, pause: null, health: null },
    { type: 'not_sent', ...at },
    { type: 'refused', ...at, outcome: 'rate_limited', error: null, pause: null, health: null },
    { type: 'refused', ...at, outcome: 'refused_422', error, pause: null, health: 'healthy' },
    { type: 'lost', ...at, reason: 'ECONNRESET' },
    { type: 'not_listed', attempt, began: now },
    { type: 'missing', attempt },
    ...['starting', 'processing', 'canceled', 'aborted'].map((status) => seen(status)),
    seen('failed', { error: 'the model has its own words' }),
    seen('failed', { error: 'Prediction interrupted; please retry (code: PA)' }),
    seen('succeeded', { output: 'text' }),
    seen('succeeded', { output: 'https://replicate.delivery/out.webp' }),
    ...['starting', 'processing'].map((status) => seen(status, forgotten)),
    seen('failed', { ...forgotten, error: 'the model has its own words' }),
    seen('failed', { ...forgotten, error: 'Prediction interrupted; please retry (code: PA)' }),
    seen('succeeded', { ...forgotten, output: 'text' }),
    seen('succeeded', { ...forgotten, output: 'https://replicate.delivery/out.webp' }),
    { type: 'stored', attempt, output: null, artifacts: [] },
    { type: 'not_stored', attempt, message: '' },
    { type: 'cancel', gives_up_output: true },
    { type: 'tick' },
    { type: 'tick', attempt },
  ]
}

describe('docs/design.md', () => {
  const design = 'docs/design.md'

  test('draws every change of phase that the state machine makes, and no other', () => {
    const drawn = groups(read(design), /^ {4}(\w+ --> \w+): /gm)
    expect([...drawn].sort()).toEqual([...edgesOfMachine()].sort())
  })

  test('lists every phase with its status', () => {
    const table = groups(part(design, '## The life of a job'), /^\| `(\w+)` \|/gm)
    expect(table).toEqual([...PHASES])
  })

  test('lists every duration', () => {
    const time = (ms: number): string => {
      if (ms % 86_400_000 === 0 && ms > 86_400_000) return `${ms / 86_400_000} d`
      if (ms % 3_600_000 === 0) return `${ms / 3_600_000} h`
      return ms % 60_000 === 0 && ms > 60_000 ? `${ms / 60_000} min` : `${ms / 1000} s`
    }
    const words = (
      value: number | { first?: number; min: number; max: number } | { first: number; longest: number },
    ): string => {
      if (typeof value === 'number') return time(value)
      if ('longest' in value) return `${time(value.first)}, up to ${time(value.longest)}`
      const first = value.first === undefined ? '' : `${time(value.first)}, then `
      return `${first}${time(value.min)} to ${time(value.max)}`
    }
    const documented = [...part(design, '## Durations').matchAll(/^\| `(\w+)` \| ([^|]+) \|/gm)]
    expect(documented.map(([, name, value]) => [name, value])).toEqual(
      Object.entries(DEFAULT_TIMINGS).map(([name, value]) => [name, words(value)]),
    )
  })
})

test('docs/failure-modes.md names tests that exist, by their names', () => {
  const rows = read('docs/failure-modes.md')
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| fault |'))
  expect(rows.length).toBeGreaterThan(60)
  for (const row of rows) {
    const proof = row.split('|').at(-2)?.trim() ?? ''
    const named = [...proof.matchAll(/\]\(([^)]+)\) "([^"]+)"/g)]
    expect(named.length > 0 || proof === 'none', row).toBe(true)
    for (const [, file = '', name = ''] of named)
      expect(read(join('docs', file)).replaceAll("\\'", "'").includes(name), `${file}: ${name}`).toBe(true)
  }
})

test('docs/failure-modes.md names a test for each fault that is promised to have one', () => {
  const page = read('docs/failure-modes.md')
  const numbers = [
    ...['1-8', '10-11', '14-19', '21-25', '27-35', '37-40'].flatMap((range) => {
      const [from = 0, to = 0] = range.split('-').map(Number)
      return Array.from({ length: to - from + 1 }, (_, i) => `F${from + i}`)
    }),
    'F42',
    'F44',
    'F50',
    ...[8, 9, 10, 11, 12, 13, 15, 16, 17, 20].map((number) => `B${number}`),
  ]
  expect(numbers.filter((number) => !page.includes(`"${number} `))).toEqual([])
})

test('docs/operations.md has every metric, and no other', () => {
  const made = groups(read('src/shared/metrics/metrics.ts'), /name: '(genqueue_\w+)'/g)
  expect(groups(read('docs/operations.md'), /^\| `(genqueue_\w+)` \|/gm).sort()).toEqual(made.sort())
})

describe('docs/openapi.yaml', () => {
  const document = apiDescriptionSchema.parse(parse(read('docs/openapi.yaml')))

  test('is of this version, and every reference leads somewhere', () => {
    expect(document.info.version).toBe(
      z.object({ version: z.string() }).parse(JSON.parse(read('package.json'))).version,
    )
    const parsed: unknown = parse(read('docs/openapi.yaml'))
    for (const reference of groups(JSON.stringify(parsed), /"\$ref":"#\/([^"]+)"/g)) {
      const target = reference
        .split('/')
        .reduce<unknown>((at, key) => z.record(z.string(), z.unknown()).parse(at)[key], parsed)
      expect(target, reference).toBeDefined()
    }
  })

  test('has the routes that the code has, and no other', () => {
    const sources = readdirSync(join(root, 'src/api/routes')).map((name) => read(join('src/api/routes', name)))
    const coded = sources.flatMap((source) =>
      [...source.matchAll(/method: '(GET|POST|PATCH|DELETE)',\s*path: '([^']+)'/g)].map(
        ([, method = '', path = '']) => `${method} ${path.replace(/:(\w+)/g, '{$1}')}`,
      ),
    )
    const described = Object.entries(document.paths).flatMap(([path, item]) =>
      METHODS.filter((method) => item[method]).map((method) => `${method.toUpperCase()} ${path}`),
    )
    // The receiver is mounted before all routes, and a style sheet is nothing to describe.
    const expected = [...coded, 'POST /webhooks/replicate'].filter((route) => !route.endsWith('/style.css'))
    expect(described.sort()).toEqual(expected.sort())
    expect(expected.length).toBeGreaterThan(15)
  })

  test('names every operation once, and every parameter of its path', () => {
    const ids: string[] = []
    for (const [path, item] of Object.entries(document.paths))
      for (const method of METHODS) {
        const operation = item[method]
        if (!operation) continue
        ids.push(operation.operationId)
        const named = operation.parameters.flatMap(({ name, in: place }) => (place === 'path' ? [name] : []))
        expect(named, path).toEqual(groups(path, /\{(\w+)\}/g))
        expect(document.tags.map(({ name }) => name)).toContain(operation.tags[0])
      }
    expect(new Set(ids).size).toBe(ids.length)
  })
})
