import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ERRORS } from '../src/shared/errors/service-error.ts'

/** Who may import whom (docs/design.md), and the things that only one place may do. */

const ROOT = resolve(import.meta.dirname, '..')

interface Import {
  file: string
  /** A path below the root, or the name of a package. */
  target: string
  typeOnly: boolean
  /** `import('…')`: loaded when it is needed. */
  lazy?: true
}

const sources = readdirSync(join(ROOT, 'src'), { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
  .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
  .sort()
const textOf = (file: string): string => readFileSync(join(ROOT, file), 'utf8')
/** Without comments, so that a word about a rule does not break it. */
const codeOf = (file: string): string => textOf(file).replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '')

const STATEMENT = /^(?:import|export)\s+(type\s+)?(?:([^;'"={}]*(?:\{[^}]*\})?)\s*from\s+)?'([^']+)'/gm
const DYNAMIC = /\bimport\(\s*'([^']+)'\s*\)/g

/** The subpath imports of package.json, such as `#simulator`, by the file that they name here. */
const ALIASES: Record<string, string> = Object.fromEntries(
  Object.entries((JSON.parse(textOf('package.json')) as { imports: Record<string, string> }).imports).map(
    ([name, file]) => [name, relative('.', file)],
  ),
)

function importsOf(file: string): Import[] {
  const code = codeOf(file)
  const found: Import[] = []
  const add = (from: string, typeOnly: boolean, how: Pick<Import, 'lazy'> = {}): void => {
    const target = from.startsWith('.') ? relative(ROOT, resolve(ROOT, dirname(file), from)) : (ALIASES[from] ?? from)
    found.push({ file, target, typeOnly, ...how })
  }
  for (const [, type, names = '', from = ''] of code.matchAll(STATEMENT)) {
    const listed = /^\{(.*)\}$/s
      .exec(names)?.[1]
      ?.split(',')
      .map((name) => name.trim())
      .filter(Boolean)
    add(
      from,
      type !== undefined ||
        (listed !== undefined && listed.length > 0 && listed.every((name) => name.startsWith('type '))),
    )
  }
  for (const [, from = ''] of code.matchAll(DYNAMIC)) add(from, false, { lazy: true })
  return found
}
const imports = sources.flatMap(importsOf)

const below =
  (folder: string) =>
  (file: string): boolean =>
    file.startsWith(`src/${folder}/`)
/** The import statements of a file that break a rule, as text. */
const offences = (applies: (file: string) => boolean, allowed: (one: Import) => boolean): string[] =>
  imports.filter((one) => applies(one.file) && !allowed(one)).map(({ file, target }) => `${file} imports ${target}`)

const isPackage = (target: string): boolean => !target.startsWith('src/') && !target.startsWith('..')
/** Where parts are put together. */
const composes = below('compose')

test('the reader of imports sees them', () => {
  expect(imports.length).toBeGreaterThan(200)
  expect(imports).toContainEqual({ file: 'src/compose/api.ts', target: 'src/api/app.ts', typeOnly: false })
  expect(imports).toContainEqual({
    file: 'src/shared/jobs/ports.ts',
    target: 'src/shared/jobs/rules/job.ts',
    typeOnly: true,
  })
  for (const { target } of imports)
    if (!isPackage(target) && !target.includes('?')) expect(existsSync(join(ROOT, target)), target).toBe(true)
})

describe('imports go down only', () => {
  const from =
    (...allowed: string[]) =>
    (one: Import): boolean =>
      isPackage(one.target) || allowed.some((path) => one.target.startsWith(path))

  test('shared imports nothing above it', () => {
    expect(offences(below('shared'), from('src/shared/'))).toEqual([])
  })

  test('queues import shared', () => {
    expect(offences(below('queues'), from('src/queues/', 'src/shared/'))).toEqual([])
  })

  test('workers import queues and shared, never the api', () => {
    expect(offences(below('workers'), from('src/workers/', 'src/queues/', 'src/shared/'))).toEqual([])
  })

  test('the api imports queues and shared, never the workers', () => {
    expect(offences(below('api'), from('src/api/', 'src/queues/', 'src/shared/'))).toEqual([])
  })

  test('the tools of agents import the client, and of the service only what every client knows', () => {
    const allowed = from('src/mcp/', 'src/client/', 'src/shared/values/', 'src/shared/errors/')
    expect(offences(below('mcp'), allowed)).toEqual([])
    // Loading the library of MCP takes longer than most requests.
    const users = imports.filter(({ file, target }) => below('mcp')(target) && !below('mcp')(file))
    expect(users.filter(({ lazy }) => !lazy)).toEqual([])
    expect([...new Set(users.map(({ file }) => file))].sort()).toEqual([
      'src/cli/mcp-command.ts',
      'src/compose/agents.ts',
    ])
  })

  test('the description of the api gives its types to the running service, and nothing else', () => {
    const isDescription = below('api/description')
    const users = imports.filter(({ file, target }) => isDescription(target) && !isDescription(file))
    expect(users.length).toBeGreaterThan(10)
    expect(users.filter(({ typeOnly }) => !typeOnly)).toEqual([])
  })

  test('the client imports nothing at all, but for its entries for Node and React', () => {
    const allowed = (target: string, file: string): boolean =>
      target.startsWith('src/client/') ||
      (/^src\/client\/(?:node|webhook)\.ts$/.test(file) && target.startsWith('node:')) ||
      (file === 'src/client/react.ts' && target === 'react')
    expect(offences(below('client'), ({ target, file }) => allowed(target, file))).toEqual([])
    const entries = ['src/client/node.ts', 'src/client/react.ts']
    expect(imports.filter(({ file, target }) => below('client')(file) && entries.includes(target))).toEqual([])
    const users = imports.filter(({ target }) => target === 'src/client/webhook.ts').map(({ file }) => file)
    expect(new Set(users)).toEqual(new Set(['src/client/node.ts']))
  })

  test('Studio imports the client', () => {
    expect(offences(below('studio'), from('src/studio/', 'src/client/'))).toEqual([])
  })

  test('the command line imports the client, and the composition for what must work without the api', () => {
    const composed = ['src/compose/operators.ts', 'src/compose/open-doctor.ts', 'src/compose/doctor.ts']
    const allowed = from('src/cli/', 'src/client/', 'src/mcp/', ...composed, 'src/start.ts', 'src/shared/')
    expect(offences(below('cli'), allowed)).toEqual([])
  })

  test('a command that speaks to the service loads none of its code; an operator’s is loaded when it is called', () => {
    const loaded = new Set(['src/cli/main.ts'])
    for (const file of loaded)
      for (const one of imports) if (one.file === file && !one.typeOnly && !one.lazy) loaded.add(one.target)
    expect([...loaded]).toEqual(expect.arrayContaining(['src/cli/submit-commands.ts', 'src/client/client.ts']))
    const light = /^(?:src\/cli\/|src\/client\/|node:|commander$|zod$)/
    const settings = [
      'src/shared/settings/environment.ts',
      'src/shared/process/local-credentials.ts',
      'src/shared/process/data-dir.ts',
    ]
    // Rules of some lines that import nothing: what a terminal must not act on, what a JSON object is, what an error says.
    const rules = ['values/visible', 'process/make-folder', 'values/json', 'values/error-text'].map(
      (name) => `src/shared/${name}.ts`,
    )
    const free = [...settings, ...rules]
    expect([...loaded].filter((target) => !light.test(target) && !free.includes(target))).toEqual([])
    const lazy = imports.filter((one) => one.lazy && below('cli')(one.file))
    expect(lazy.map(({ target }) => target)).toContain('src/cli/audit-command.ts')
  })

  test('the simulator imports nothing of the service, and is started by the composition only', () => {
    expect(offences(below('simulator'), from('src/simulator/'))).toEqual([])
    const users = imports.filter(({ file, target }) => target.startsWith('src/simulator/') && !below('simulator')(file))
    expect(users.filter(({ file }) => !composes(file))).toEqual([])
  })

  test('no module imports the process entry points', () => {
    const users = imports.filter(({ target }) => ['src/main.ts', 'src/simulator/main.ts'].includes(target))
    expect(users).toEqual([])
    const composers = imports.filter(({ target, typeOnly }) => target === 'src/compose/service.ts' && !typeOnly)
    expect(composers.map(({ file }) => file)).toEqual(['src/start.ts'])
    const parts = imports.filter(({ file, target }) => composes(target) && !composes(file) && !below('cli')(file))
    expect(parts.map(({ file, target }) => `${file} ${target}`).sort()).toEqual([
      'src/start.ts src/compose/greeting.ts',
      'src/start.ts src/compose/local-parts.ts',
      'src/start.ts src/compose/service.ts',
    ])
  })
})

/** Smallest groups of files that reach each other by their imports (Tarjan's algorithm), each as sorted names. */
function circlesOf(edges: ReadonlyMap<string, readonly string[]>): string[][] {
  const circles: string[][] = []
  const order = new Map<string, number>()
  const open: string[] = []
  /** Returns the earliest open file that `file` reaches, by its number. */
  function visit(file: string): number {
    const own = order.size
    order.set(file, own)
    open.push(file)
    const targets = edges.get(file) ?? []
    let earliest = own
    for (const target of targets) {
      const known = order.get(target)
      if (known === undefined) earliest = Math.min(earliest, visit(target))
      else if (open.includes(target)) earliest = Math.min(earliest, known)
    }
    if (earliest === own) {
      const group = open.splice(open.indexOf(file))
      if (group.length > 1 || targets.includes(file)) circles.push(group.sort())
    }
    return earliest
  }
  for (const file of edges.keys()) if (!order.has(file)) visit(file)
  return circles
}

describe('import circles', () => {
  test.for<[name: string, edges: Record<string, string[]>, circles: string[][]]>([
    ['a chain has none', { a: ['b'], b: ['c'], c: [] }, []],
    ['two paths to one file are none', { a: ['b', 'c'], b: ['d'], c: ['d'], d: [] }, []],
    ['a file that imports itself is one', { a: ['a'] }, [['a']]],
    ['two files that import each other are one', { a: ['b'], b: ['a'] }, [['a', 'b']]],
    ['a file that leads into one is not part of it', { a: ['b'], b: ['c'], c: ['d'], d: ['b'] }, [['b', 'c', 'd']]],
    [
      'two separate ones are two',
      { a: ['b', 'c'], b: ['a'], c: ['d'], d: ['c'] },
      [
        ['c', 'd'],
        ['a', 'b'],
      ],
    ],
  ])('the finder: %s', ([, edges, circles]) => {
    expect(circlesOf(new Map(Object.entries(edges)))).toEqual(circles)
  })

  test('there are none, not even of types', () => {
    const edges = new Map<string, string[]>(sources.map((file) => [file, []]))
    for (const { file, target } of imports) if (edges.has(target)) edges.get(file)?.push(target)
    expect(circlesOf(edges)).toEqual([])
  })
})

/** A file of a domain folder that is named after a technology. */
const isAdapter = (file: string): boolean =>
  /^src\/shared\/(?!redis\/)(?:[^/]+\/)+(?:redis|disk|s3|replicate)-[a-z-]+\.ts$/.test(file)

describe('an adapter', () => {
  test('is known to the composition only; the stores of jobs and notifications are put together from others', () => {
    const stores = ['src/shared/jobs/commit/redis-job-store.ts', 'src/shared/notifications/redis-notification-store.ts']
    expect(sources.filter(isAdapter)).toEqual(expect.arrayContaining(stores))
    expect(
      offences(
        (file) => !composes(file) && !stores.includes(file),
        ({ target }) => !isAdapter(target),
      ),
    ).toEqual([])
  })

  test('has ports that its users name, instead of the whole store of jobs', () => {
    const whole = sources.filter((file) => /\bJobStore\b/.test(codeOf(file)) && !composes(file))
    expect(whole).toEqual(['src/shared/jobs/commit/redis-job-store.ts', 'src/shared/jobs/ports.ts'])
  })

  test('is the only one in its folder that knows the technology', () => {
    const technology = /^(?:express|bullmq|ioredis|replicate|undici)$/
    /** Redis itself, and the stream of events, which is read and written in Redis only. */
    const inDomain = (file: string): boolean => below('shared')(file) && !/^src\/shared\/(?:redis|events)\//.test(file)
    /** Fetch outputs for whichever store there is, and send webhooks. */
    const http = ['artifacts/checked-connect', 'artifacts/output-fetcher', 'notifications/http-transport'].map(
      (name) => `src/shared/${name}.ts`,
    )
    expect(
      offences(
        (file) => inDomain(file) && !isAdapter(file) && !http.includes(file),
        ({ target }) => !technology.test(target),
      ),
    ).toEqual([])
  })
})

describe('the rooms of shared', () => {
  const room = (name: string) => below(`shared/${name}`)
  const isValue = room('values')
  /** Errors that a client can receive: every room may name them. */
  const isError = room('errors')
  /** Rules of any domain. */
  const isRule = (file: string): boolean => /^src\/shared\/[a-z]+\/rules\//.test(file)
  /** Interfaces between a domain and its adapters; rules may use their types. */
  const isPort = (file: string): boolean =>
    /^src\/shared\/[a-z]+\/(?:ports|[a-z]+-(?:port|store|source))\.ts$/.test(file)
  const isRecord = room('jobs/record')
  /** Arithmetic: hashes, checksums, random ids, schemas, IP addresses and a table of file extensions. */
  const isArithmetic = (target: string): boolean => /^(?:zod|ulid|mime|ipaddr\.js|node:crypto|node:zlib)$/.test(target)

  test('are found', () => {
    for (const [is, least] of [
      [isValue, 12],
      [isError, 3],
      [isRule, 60],
      [isPort, 7],
      [isRecord, 5],
    ] as const)
      expect(sources.filter(is).length).toBeGreaterThanOrEqual(least)
  })

  test('values know nothing of the service', () => {
    expect(offences(isValue, ({ target }) => isValue(target) || isArithmetic(target))).toEqual([])
    expect(offences(isError, ({ target }) => isError(target) || isValue(target) || isArithmetic(target))).toEqual([])
  })

  test('rules know rules and values, and types of ports', () => {
    // The audit judges records, so its rules know their keys.
    const subject = (file: string, target: string): boolean => room('audit')(file) && isRecord(target)
    expect(
      offences(
        isRule,
        ({ file, target, typeOnly }) =>
          [isRule, isValue, isError, isArithmetic].some((is) => is(target)) ||
          (typeOnly && isPort(target)) ||
          subject(file, target),
      ),
    ).toEqual([])
  })

  test('a record of a job knows what may happen, and not how it is written', () => {
    expect(
      offences(isRecord, ({ target }) => [isRecord, isRule, isValue, isError, isArithmetic].some((is) => is(target))),
    ).toEqual([])
  })

  test('how a job is written is known to the composition, and to batches, which write jobs with them', () => {
    const isCommit = room('jobs/commit')
    const users = imports.filter(({ file, target }) => isCommit(target) && !isCommit(file) && !composes(file))
    expect([...new Set(users.map(({ file }) => file))]).toEqual(['src/shared/batches/redis-batch-store.ts'])
  })

  test('rules, records, ports, and every domain that reaches the outside through adapters only, touch nothing outside', () => {
    const throughPorts = ['audit', 'batches', 'credits', 'jobs', 'limits', 'tenants']
    const isPure = (file: string): boolean =>
      [isValue, isError, isRule, isPort].some((is) => is(file)) ||
      (throughPorts.some((name) => room(name)(file)) && !isAdapter(file))
    expect(
      offences(
        isPure,
        ({ target, typeOnly }) => typeOnly || !isPackage(target) || isArithmetic(target) || target === 'node:util',
      ),
    ).toEqual([])
    for (const file of sources.filter(isPure)) {
      expect(codeOf(file), file).not.toMatch(/(?<![.\w])fetch\(|\bprocess\./)
      // A deadline is part of the language of promises.
      if (!isValue(file)) expect(codeOf(file), file).not.toMatch(/(?<![.\w])(?:setTimeout|setInterval)\(/)
    }
  })

  test('process matters and Redis know no domain', () => {
    const low = ['process', 'values', 'errors'].map(room)
    expect(offences(room('process'), ({ target }) => isPackage(target) || low.some((is) => is(target)))).toEqual([])
    const redis = [...low, room('redis')]
    expect(offences(room('redis'), ({ target }) => isPackage(target) || redis.some((is) => is(target)))).toEqual([])
  })

  test('settings and metrics are read by the composition and the entries, besides their types', () => {
    const users = imports.filter(({ target }) => room('settings')(target) || room('metrics')(target))
    const inShared = users.filter(
      ({ file }) => below('shared')(file) && !room('settings')(file) && !room('metrics')(file),
    )
    expect(inShared).toEqual([])
  })
})

describe('only one place', () => {
  const filesWith = (pattern: RegExp, except = /^$/): string[] =>
    sources.filter((file) => !except.test(file) && pattern.test(codeOf(file)))

  test('reads the environment', () => {
    expect(filesWith(/process\.env\b|process\[['"]env/)).toEqual([
      // In the text of samples.
      'src/api/description/samples.ts',
      'src/shared/settings/environment.ts',
      'src/simulator/options.ts',
    ])
  })

  test('builds the bodies of errors', () => {
    const other = /^src\/(?:simulator|client|studio|api\/description)\//
    const builders = ['src/api/error-response.ts', 'src/api/front/replicate-error.ts']
    expect(filesWith(/problem\+json/, other)).toEqual(builders)
    expect(filesWith(/urn:genqueue:error/, other)).toEqual(['src/api/error-response.ts'])
    expect(filesWith(/\.status\(\s*[45]\d\d\s*\)\.(?:json|send)\(/, other)).toEqual([])
  })

  test('copies a list to add to it, which is quadratic: append.ts adds in constant time', () => {
    expect(filesWith(/\[\s*\.\.\.\(\w+(?:\.\w+)*\.get\(/)).toEqual([])
  })

  test('parses command lines: commander, whose help, errors and checks are the same everywhere', () => {
    expect(filesWith(/\bparseArgs\b/)).toEqual([])
    expect(filesWith(/\bnew Command\(/)).toEqual(['src/cli/program.ts', 'src/simulator/options.ts', 'src/start.ts'])
  })

  test('makes BullMQ workers', () => {
    expect(filesWith(/\bnew Worker\(/)).toEqual(['src/workers/start-workers.ts'])
  })

  test('makes BullMQ queues', () => {
    expect(filesWith(/\bnew Queue\(/)).toEqual(['src/queues/producer.ts'])
  })

  test('opens connections to Redis', () => {
    expect(filesWith(/\bnew Redis\(/)).toEqual(['src/shared/redis/connection.ts'])
  })

  test('reads the clock of Redis, besides transactions that read it with their data', () => {
    expect(filesWith(/\bredis\.time\(/)).toEqual(['src/shared/redis/clock.ts'])
    const lua = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.lua'))
      .map((name) => join('src', name))
    expect(lua.filter((file) => textOf(file).includes("'TIME'"))).toEqual(['src/shared/redis/clock.lua'])
  })

  test('creates folders', () => {
    expect(filesWith(/\bmkdir\(/, /^src\/simulator\//)).toEqual(['src/shared/process/make-folder.ts'])
  })

  test('reads the message or the code of an error, besides programs that import nothing of the service', () => {
    const outside = /^src\/(?:simulator|studio|client)\//
    expect(filesWith(/instanceof Error \? \w+\.message : String\(/, outside)).toEqual([
      'src/shared/values/error-text.ts',
    ])
    expect(filesWith(/'code' in (\w+) && \1\.code === (?:'E[A-Z]+'|code)/, outside)).toEqual([
      'src/cli/main.ts',
      'src/shared/values/error-text.ts',
    ])
  })

  test('names the members of the due index', () => {
    expect(filesWith(/`(?:job|attempt|effect|batch|files):/)).toEqual(['src/shared/jobs/record/due-member.ts'])
  })

  test('decides whether a principal may open an object', () => {
    const check = /\.?tenant [!=]== (?:\w+\.)*tenant\b|\bonly [!=]== \w+\.id\b/
    const inApi = filesWith(check).filter(below('api'))
    // The stream of a tenant, whose jobs are read again for each event.
    expect(inApi).toEqual(['src/api/event-streams.ts', 'src/api/owned.ts'])
  })

  test('limits what runs at the same time: concurrency.ts, instead of lists in chunks', () => {
    expect(filesWith(/Promise\.all(?:Settled)?\(\s*[\w.]+\.slice\([^)]*\)\.map\(/, /^src\/simulator\//)).toEqual([])
  })

  test('builds findings of the audit', () => {
    expect(filesWith(/\brepairable: /)).toEqual(['src/shared/audit/rules/finding.ts'])
  })

  test('recognises JSON objects, besides the two programs that import nothing of the service', () => {
    expect(filesWith(/'object' && \w+ !== null && !Array\.isArray\(/)).toEqual([
      'src/shared/values/json.ts',
      'src/simulator/is-record.ts',
      'src/studio/schema-form/fields.ts',
    ])
  })

  test('runs Lua', () => {
    expect(filesWith(/\.eval(?:sha)?\(/)).toEqual(['src/shared/redis/script.ts'])
  })
})

test('nothing but the auditor searches the keyspace, and only programs end the process', () => {
  const searching =
    /\bredis\s*\.(?:keys|scan|scanStream|sscan|hscan|flushall|flushdb)\(|redis\.call\('(?:KEYS|SCAN|FLUSH)/i
  const searchers = sources.filter((file) => searching.test(codeOf(file)))
  expect(searchers).toEqual(['src/shared/audit/redis-audit-source.ts'])
  const exits = sources.filter((file) => /process\.exit\(/.test(codeOf(file)))
  expect(exits.filter((file) => !file.endsWith('/main.ts') && file !== 'src/start.ts')).toEqual([])
})

test('every error code is in the one list, and in the documentation with its status', () => {
  const used = new Set<string>()
  for (const file of sources.filter((one) => below('api')(one) || below('shared')(one)))
    for (const [, code = ''] of codeOf(file).matchAll(/new ServiceError\(\s*'([a-z_]+)'/g)) used.add(code)
  expect([...used].filter((code) => !(code in ERRORS))).toEqual([])
  expect(used.size).toBeGreaterThan(10)
  const documented = textOf('docs/errors.md')
  for (const [code, { status }] of Object.entries(ERRORS)) expect(documented).toContain(`| \`${code}\` | ${status} |`)
})
