import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseEnv } from 'node:util'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { apiDescriptionSchema, METHODS } from '../../src/api/api-description.ts'
import { jobRequestSchema } from '../../src/api/schemas.ts'
import { parseConfig, VARIABLE_NAMES } from '../../src/shared/config.ts'
import { ERRORS } from '../../src/shared/errors.ts'
import { PHASES, STATUSES, WEBHOOK_EVENTS, type JobState } from '../../src/shared/jobs/job.ts'
import { applyCommit } from '../../src/shared/jobs/commit-plan.ts'
import { DEFAULT_TIMINGS } from '../../src/shared/jobs/timings.ts'
import { transition, type JobEvent } from '../../src/shared/jobs/transitions.ts'
import { CLAIM, context, NOW, prediction, stateIn } from './support/job-states.ts'

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
      .filter((line) => /^(?:# )?[A-Z_]+=/.test(line))
    expect(lines.every((line) => line.startsWith('# '))).toBe(true)
    expect(groups(lines.join('\n'), /^# ([A-Z_]+)=/gm).sort()).toEqual([...VARIABLE_NAMES].sort())
    const given = parseEnv(lines.map((line) => line.slice(2)).join('\n'))
    const { simulator, ...service } = parseConfig(given)
    expect(service).toEqual({ ...parseConfig({}), simulator: undefined })
    expect(simulator).toMatchObject({ ...parseConfig({}).simulator, createsPerMinute: 600, readsPerMinute: 3000 })
  })

  test('docs/configuration.md has every variable, and no other', () => {
    expect(groups(read('docs/configuration.md'), /^\| `([A-Z_]+)` \|/gm).sort()).toEqual([...VARIABLE_NAMES].sort())
  })

  test('the README and the other pages name no variable that does not exist', () => {
    const elsewhere = ['GENQUEUE', 'KEY', 'ID', 'FILE', 'SLOW', 'SIMULATOR_HOST', 'SIMULATOR_DATA']
    const known = [...VARIABLE_NAMES, ...elsewhere]
    for (const page of pages.filter((name) => name !== join('docs', 'simulator.md'))) {
      const named = groups(read(page), /`([A-Z]+(?:_[A-Z]+)+)(?:=[^`]*)?`/g)
      expect(known, page).toEqual(expect.arrayContaining(named))
    }
  })
})

describe('docs/errors.md', () => {
  const rows = (heading: string): string[][] =>
    part('docs/errors.md', heading)
      .split('\n')
      .filter((line) => line.startsWith('| `'))
      .map((line) => line.split('|').map((cell) => cell.trim().replaceAll('`', '')))

  test('has every error of a request, with its status and whether it helps to ask again', () => {
    const told = rows('## Of a request').map(([, code, status, again]) => [code, Number(status), again === 'yes'])
    expect(told).toEqual(Object.entries(ERRORS).map(([code, { status, retryable }]) => [code, status, retryable]))
  })

  test('has every error of a job', () => {
    const machine = read('src/shared/jobs/transitions.ts')
    const submit = read('src/workers/submit-job.ts')
    const used = [
      ...groups(machine, /\bfailed\(\s*'(\w+)'/g),
      ...groups(machine, /error: \{ code: '(\w+)'/g),
      ...groups(submit, /^\s+\d{3}: '(\w+)',$/gm),
      ...groups(submit, /\?\? '(\w+)'/g),
    ]
    expect(rows('## Of a job').map(([, code]) => code)).toEqual(expect.arrayContaining([...new Set(used)]))
    expect(rows('## Of a job')).toHaveLength(new Set(used).size)
  })
})

describe('docs/design.md', () => {
  const design = 'docs/design.md'

  test('draws every change of phase that the state machine makes, and no other', () => {
    const at = { attempt: 1, claim: CLAIM }
    const error = { code: 'input_rejected', message: '', retryable: false, billed: 'no' as const }
    const seen = (status: string, output: string | null = null): JobEvent => ({
      type: 'observed',
      attempt: 1,
      prediction: prediction(status, { output }),
    })
    const events: JobEvent[] = [
      { type: 'intend', claim: 'another' },
      { type: 'not_sent', ...at },
      { type: 'refused', ...at, outcome: 'rate_limited', error: null, pause: null },
      { type: 'refused', ...at, outcome: 'refused_422', error, pause: null },
      { type: 'lost', ...at, reason: 'ECONNRESET' },
      ...['starting', 'processing', 'failed', 'canceled', 'aborted'].map((status) => seen(status)),
      seen('succeeded', 'text'),
      seen('succeeded', 'https://replicate.delivery/out.webp'),
      { type: 'stored', attempt: 1, output: null, artifacts: [] },
      { type: 'not_stored', attempt: 1, message: '' },
      { type: 'cancel' },
      { type: 'tick' },
    ]
    const states = PHASES.flatMap((phase): JobState[] => {
      const state = stateIn(phase)
      if (phase !== 'stopping') return [state]
      return (['canceled', 'timeout'] as const).map((reason) => ({
        ...state,
        job: { ...state.job, stop: { reason, requested_at: NOW } },
      }))
    })
    const edges = new Set<string>()
    for (const state of states)
      for (const event of events)
        for (const now of [NOW, NOW + 30 * 24 * 3600 * 1000]) {
          const decision = transition(state, event, context(now))
          if (decision.kind === 'ignored') continue
          const to = applyCommit(state, decision, now).job.phase
          if (to !== state.job.phase) edges.add(`${state.job.phase} --> ${to}`)
        }
    const drawn = groups(read(design), /^ {4}(\w+ --> \w+): /gm)
    expect([...drawn].sort()).toEqual([...edges].sort())
  })

  test('tells every phase with its status', () => {
    const table = groups(part(design, '## The life of a job'), /^\| `(\w+)` \|/gm)
    expect(table).toEqual([...PHASES])
  })

  test('tells every duration', () => {
    const time = (ms: number): string => {
      if (ms % 86_400_000 === 0 && ms > 86_400_000) return `${ms / 86_400_000} d`
      if (ms % 3_600_000 === 0) return `${ms / 3_600_000} h`
      return ms % 60_000 === 0 && ms > 60_000 ? `${ms / 60_000} min` : `${ms / 1000} s`
    }
    const words = (value: number | { first?: number; min: number; max: number }): string => {
      if (typeof value === 'number') return time(value)
      const first = value.first === undefined ? '' : `${time(value.first)}, then `
      return `${first}${time(value.min)} to ${time(value.max)}`
    }
    const told = [...part(design, '## Durations').matchAll(/^\| `(\w+)` \| ([^|]+) \|/gm)]
    expect(told.map(([, name, value]) => [name, value])).toEqual(
      Object.entries(DEFAULT_TIMINGS).map(([name, value]) => [name, words(value)]),
    )
  })
})

test('docs/operations.md has every metric, and no other', () => {
  const made = groups(read('src/shared/metrics.ts'), /name: '(genqueue_\w+)'/g)
  expect(groups(read('docs/operations.md'), /^\| `(genqueue_\w+)` \|/gm).sort()).toEqual(made.sort())
})

describe('docs/openapi.yaml', () => {
  const document = apiDescriptionSchema.parse(parse(read('docs/openapi.yaml')))
  const { schemas } = document.components

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
      [...source.matchAll(/method: '(GET|POST|DELETE)',\s*path: '([^']+)'/g)].map(
        ([, method = '', path = '']) => `${method} ${path.replace(/:(\w+)/g, '{$1}')}`,
      ),
    )
    const described = Object.entries(document.paths).flatMap(([path, item]) =>
      METHODS.filter((method) => item[method]).map((method) => `${method.toUpperCase()} ${path}`),
    )
    // The receiver is mounted before all routes, and a style sheet is nothing to describe.
    const expected = [...coded, 'POST /webhooks/replicate'].filter((route) => route !== 'GET /docs/style.css')
    expect(described.sort()).toEqual(expected.sort())
    expect(expected.length).toBeGreaterThan(15)
  })

  test('names every operation once, and every parameter of its path', () => {
    const { parameters } = document.components
    const ids: string[] = []
    for (const [path, item] of Object.entries(document.paths))
      for (const method of METHODS) {
        const operation = item[method]
        if (!operation) continue
        ids.push(operation.operationId)
        const named = operation.parameters
          .map((one) => ('$ref' in one ? parameters[String(one.$ref).split('/').at(-1) ?? ''] : one))
          .flatMap((one) => (one && !('$ref' in one) && one.in === 'path' ? [one.name] : []))
        expect(named, path).toEqual(groups(path, /\{(\w+)\}/g))
        expect(document.tags.map(({ name }) => name)).toContain(operation.tags[0])
      }
    expect(new Set(ids).size).toBe(ids.length)
  })

  test('asks of a submission what the code asks', () => {
    const coded = z.toJSONSchema(jobRequestSchema, { io: 'input', unrepresentable: 'any' })
    const described = schemas['JobRequest']?.properties ?? {}
    expect(Object.keys(described).sort()).toEqual(Object.keys(coded.properties ?? {}).sort())
    expect(schemas['JobRequest']?.required).toEqual(coded.required)
    for (const [name, property] of Object.entries(coded.properties ?? {})) {
      if (typeof property === 'boolean') continue
      for (const rule of ['minimum', 'maximum', 'default', 'maxItems'] as const)
        expect(described[name]?.[rule], `${name}: ${rule}`).toEqual(property[rule])
      // A regular expression's source escapes slashes.
      expect(described[name]?.pattern, name).toBe(property.pattern?.replaceAll('\\/', '/'))
    }
  })

  test('has the words that the code has', () => {
    expect(schemas['JobPhase']?.enum).toEqual([...PHASES])
    expect(schemas['JobStatus']?.enum).toEqual([...STATUSES])
    expect(schemas['WebhookEvent']?.enum).toEqual([...WEBHOOK_EVENTS])
    const reasons = /interface WaitingFor \{[^]*?reason: ([^\n]+)/.exec(read('src/client/types.ts'))?.[1] ?? ''
    expect(schemas['WaitingFor']?.properties?.['reason']?.enum).toEqual(groups(reasons, /'(\w+)'/g))
  })
})
