import { existsSync, globSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { pack, type Tarball } from '../../tools/packaging/pack.ts'
import { NODE_COMPILE_CACHE } from '../support/compile-cache.ts'
import { freePort } from '../support/free-port.ts'
import { freshPrefix, testRedisUrl } from '../support/redis.ts'
import { spawnProcess, type SpawnedProcess, type SpawnOptions } from '../support/spawn-process.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { tempDir } from '../support/temp-dir.ts'
import { npm, npmSettings } from './npm.ts'
import { NODES, OLDEST_OF_SIMULATOR, pathOf, PATH_OF_NODE_24, tool } from './toolchain.ts'

/** The packages as their users get them: packed, each installed alone into an empty project, and run there. */

const ROOT = join(import.meta.dirname, '../..')

type Name = 'genqueue' | '@genqueue/client' | '@genqueue/replicate-simulator'
let tarballs: Record<Name, Tarball>
/** An empty project for each package, in which it alone is installed. */
let projects: Record<Name, string>
let service: TestService

beforeAll(async () => {
  const packed = await pack(tempDir())
  const find = (name: Name): Tarball => {
    const found = packed.find((one) => one.name === name)
    if (!found) throw new Error(`${name} was not packed`)
    return found
  }
  tarballs = {
    genqueue: find('genqueue'),
    '@genqueue/client': find('@genqueue/client'),
    '@genqueue/replicate-simulator': find('@genqueue/replicate-simulator'),
  }
  const install = async (name: Name): Promise<string> => {
    const project = tempDir()
    writeFileSync(join(project, 'package.json'), '{ "private": true }')
    await npm(['install', tarballs[name].file], { cwd: project })
    return project
  }
  const [genqueue, client, simulator] = await Promise.all([
    install('genqueue'),
    install('@genqueue/client'),
    install('@genqueue/replicate-simulator'),
  ])
  projects = { genqueue, '@genqueue/client': client, '@genqueue/replicate-simulator': simulator }
})

/** Runs a program to its end and returns what it printed. */
async function output(file: string, args: string[], options: SpawnOptions): Promise<string> {
  const ran = spawnProcess(file, args, options)
  const { code } = await ran.exited
  expect(code, `${file} ${args.join(' ')}\n${ran.stdout}${ran.stderr}`).toBe(0)
  return ran.stdout
}

const write = (folder: string, files: Record<string, string>): void => {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
}

const readJson = (file: string): Record<string, unknown> => JSON.parse(readFileSync(file, 'utf8'))

describe('a tarball', () => {
  /** What each may contain; `$1` of a compiled file names its source. */
  const CONTENTS: Record<Name, RegExp[]> = {
    genqueue: [
      /^lib\/((?!simulator\/|studio\/).+)\.js$/,
      /^lib\/(.+\.lua)$/,
      /^bin\/(?:genqueue|on-node-24)\.mjs$/,
      /^dist\/studio\/(?:(?:index|docs)\.html|assets\/[\w-]+\.(?:js|css|svg)(?:\.br|\.gz)?)$/,
      /^docs\/openapi\.yaml$/,
      /^presets\/[\w-]+\.yaml$/,
      /^THIRD-PARTY-NOTICES\.md$/,
      /^node_modules\/@genqueue\/replicate-simulator\/(?:LICENSE|README\.md|package\.json|docs\/simulator\.md|(?:bin|cjs|lib)\/.+)$/,
    ],
    '@genqueue/client': [/^(?:esm|cjs)\/([\w-]+)\.(?:js|js\.map|d\.ts)$/, /^cjs\/package\.json$/],
    '@genqueue/replicate-simulator': [
      /^(?:lib|cjs)\/(.+?)(?:\.d\.ts|\.js)$/,
      /^cjs\/package\.json$/,
      /^bin\/(?:replicate-simulator|on-node-24)\.mjs$/,
      /^docs\/simulator\.md$/,
    ],
  }
  const SOURCES: Record<Name, string> = {
    genqueue: 'src',
    '@genqueue/client': 'src/client',
    '@genqueue/replicate-simulator': 'src/simulator',
  }
  /** Bytes of its files, without those of its dependencies; more is a reason to look. The service grew by notifications, streams, the doctor and the tools of agents. */
  const LIMITS: Record<Name, number> = {
    genqueue: 5_600_000,
    '@genqueue/client': 1_000_000,
    '@genqueue/replicate-simulator': 600_000,
  }

  test.each(Object.keys(CONTENTS) as Name[])('%s contains what its users need, and nothing else', (name) => {
    const { files, unpackedSize, version } = tarballs[name]
    expect(files).toEqual(expect.arrayContaining(['LICENSE', 'README.md', 'package.json']))
    const allowed = [/^LICENSE$/, /^README\.md$/, /^package\.json$/, ...CONTENTS[name]]
    expect(files.filter((file) => !allowed.some((pattern) => pattern.test(file)))).toEqual([])
    for (const pattern of CONTENTS[name])
      expect(
        files.some((file) => pattern.test(file)),
        `a file like ${String(pattern)}`,
      ).toBe(true)
    const [compiled = /^$/] = CONTENTS[name]
    const orphans = files.filter((file) => {
      const [, source] = compiled.exec(file) ?? []
      return source !== undefined && !existsSync(join(ROOT, SOURCES[name], `${source}.ts`))
    })
    expect(orphans).toEqual([])
    expect(unpackedSize).toBeLessThan(LIMITS[name])
    expect(version).toBe(readJson(join(ROOT, 'package.json'))['version'])
  })

  test.each(Object.keys(CONTENTS) as Name[])('%s names no folder of this machine, and no affiliation', (name) => {
    const folder = join(projects[name], 'node_modules', name)
    const found = tarballs[name].files.filter((file) => readFileSync(join(folder, file), 'utf8').includes(ROOT))
    expect(found).toEqual([])
    expect(readFileSync(join(folder, 'README.md'), 'utf8')).toMatch(/not affiliated with Replicate/)
    expect(readJson(join(folder, 'package.json'))['description']).toMatch(/Not affiliated with Replicate\.$/)
  })

  test('none has Replicate’s own description of its API, which is only a fixture of the tests', () => {
    const name = 'replicate-openapi.yaml'
    const title = 'Replicate HTTP API'
    expect(readFileSync(join(ROOT, 'test/simulator', name), 'utf8')).toContain(`title: ${title}`)
    for (const packed of Object.keys(CONTENTS) as Name[]) {
      const folder = join(projects[packed], 'node_modules', packed)
      const copies = tarballs[packed].files.filter(
        (file) => file.endsWith(name) || readFileSync(join(folder, file), 'utf8').includes(title),
      )
      expect(copies, packed).toEqual([])
    }
  })

  test('@genqueue/client has source maps that contain their sources, wherever they were compiled', () => {
    const maps = tarballs['@genqueue/client'].files.filter((file) => file.endsWith('.js.map'))
    expect(maps).not.toEqual([])
    for (const map of maps) {
      const [, source] = /([^/]+)\.js\.map$/.exec(map) ?? []
      const read = readJson(join(projects['@genqueue/client'], 'node_modules/@genqueue/client', map))
      expect(read).toMatchObject({ sourceRoot: '../src/', sources: [`${source}.ts`] })
      expect(read['sourcesContent']).toEqual([readFileSync(join(ROOT, 'src/client', `${source}.ts`), 'utf8')])
    }
  })

  test('genqueue has the licences of what Studio bundles', () => {
    const notices = readFileSync(join(projects.genqueue, 'node_modules/genqueue/THIRD-PARTY-NOTICES.md'), 'utf8')
    const named = [...notices.matchAll(/^## (\S+) - /gm)].map(([, name]) => name)
    expect(named).toEqual(
      expect.arrayContaining([
        '@scalar/fastify-api-reference',
        '@tanstack/react-query',
        'lucide-react',
        'react',
        'react-dom',
        'wouter',
      ]),
    )
    expect(notices.match(/Permission (?:is hereby granted|to use)/g)?.length).toBeGreaterThanOrEqual(named.length - 1)
  })

  test.each([
    ['genqueue', 'esm-only'],
    ['@genqueue/client', 'node16'],
    ['@genqueue/replicate-simulator', 'esm-only'],
  ] as const)('%s has no finding of publint and attw (%s)', async (name, profile) => {
    const { file } = tarballs[name]
    const cwd = tempDir()
    const env = { NODE_COMPILE_CACHE }
    await Promise.all([
      output(process.execPath, [tool('publint/src/cli.js'), file, '--strict'], { cwd, env }),
      output(process.execPath, [tool('@arethetypeswrong/cli/dist/index.js'), file, '--profile', profile], { cwd, env }),
    ])
  })
})

describe('@genqueue/client, installed alone', () => {
  // Not for the whole file: a service that waits takes its share of a processor.
  beforeAll(async () => {
    const started = await startService({ simulator: { speed: 100 } })
    service = started
    return () => started.stop()
  })

  const RUN = `
    const client = createClient({ baseUrl: process.argv[2], key: process.argv[3] })
    async function run() {
      const { id } = await client.submit({ preset: 'story-page', input: { prompt: 'a fox' } })
      const job = await client.wait(id, { signal: new AbortController().signal, timeout: 60000 })
      const picture = \`picture-\${process.pid}.webp\`
      await saveFile(client, job.artifacts[0], picture)
      const { url } = await client.upload(localFile('note.txt'))
      const seen = []
      for await (const { status } of client.stream(id)) seen.push(status)
      const error = await client.get('job_unknown').catch((refused) => refused)
      const refused = error instanceof ApiError && error.status
      const proxy = createProxy({ baseUrl: process.argv[2], key: process.argv[3], authorize: () => ({ user: 'zoe' }) })
      const page = createClient({ baseUrl: 'http://page', fetch: (url, init) => proxy(new Request(url, init)) })
      const sent = new Blob(['A note.'], { type: 'text/plain' })
      const own = await page.submit({ preset: 'story-page', input: { prompt: 'by a page' } })
      if (own.user !== 'zoe' || (await page.upload(sent)).media_type !== 'text/plain') throw new Error('not by the page')
      const changes = client.changes()[Symbol.asyncIterator]()
      const first = changes.next()
      const items = ['one', 'two'].map((prompt) => ({ preset: 'story-page', input: { prompt }, metadata: { run: process.pid } }))
      const set = await client.runBatch({ items })
      const change = (await first).value
      await changes.return()
      const listed = []
      for await (const one of client.list({ metadata: { run: process.pid }, limit: 1 })) listed.push(one.position)
      const parts = []
      await new Promise((resolve, reject) => client.subscribe(id, {
        onUpdate: (now) => { parts.push(now.status); resolve() },
        onError: reject,
      }))
      const thrown = await client.wait(id, { onUpdate: () => { throw new Error('mine') } }).catch((mine) => mine.message)
      const left = await client.wait(id, { signal: AbortSignal.abort() }).catch((aborted) => aborted.name)
      const same = await Promise.all([1, 2].map(() =>
        client.submit({ preset: 'story-page', input: { prompt: 'once' } }, { idempotencyKey: String(process.pid) })))
      const whole = (await client.download(job.artifacts[0])).length === job.artifacts[0].bytes
      console.log(JSON.stringify({
        status: job.status, picture, url, seen, refused, set: set.status, change: change.type, listed, parts, thrown, left,
        same: same[0].id === same[1].id, whole,
      }))
    }
    run().catch((error) => { console.error(error); process.exit(1) })`
  const FORMS = {
    'mod.mjs': `import { createClient, ApiError } from '@genqueue/client'
      import { createProxy } from '@genqueue/client/proxy'
      import { localFile, saveFile } from '@genqueue/client/node'\n${RUN}`,
    'mod.cjs': `const { createClient, ApiError } = require('@genqueue/client')
      const { createProxy } = require('@genqueue/client/proxy')
      const { localFile, saveFile } = require('@genqueue/client/node')\n${RUN}`,
    // As for a browser: without the files of the machine.
    'page.mjs': `import { createClient, isFinal } from '@genqueue/client'
      import { createProxy } from '@genqueue/client/proxy'
      const authorize = () => ({ user: 'zoe' })
      const proxy = createProxy({ baseUrl: process.argv[2], key: process.argv[3], authorize })
      const client = createClient({ baseUrl: '', fetch: (url, init) => proxy(new Request('http://page' + url, init)) })
      client.run({ preset: 'story-page', input: { prompt: 'bundled' } }).then((job) => console.log(isFinal(job)))`,
    'note.txt': 'A note.',
  }
  const expected = {
    status: 'succeeded',
    picture: expect.stringMatching(/^picture-\d+\.webp$/),
    url: expect.stringContaining('/v1/uploads/upl_'),
    seen: ['succeeded'],
    refused: 404,
    set: 'succeeded',
    change: 'job',
    listed: [1, 0],
    parts: ['succeeded'],
    thrown: 'mine',
    left: 'AbortError',
    same: true,
    whole: true,
  }
  const project = (): string => projects['@genqueue/client']
  const runs = async (node: string, file: string): Promise<unknown> =>
    JSON.parse(await output(node, [file, service.url, TEST_KEY], { cwd: project() }))

  test('has no dependency', () => {
    expect(readdirSync(join(project(), 'node_modules')).filter((name) => !name.startsWith('.'))).toEqual(['@genqueue'])
  })

  test.each([...NODES])(
    'Node %i: import and require submit, follow, list, save and fail as promised',
    async (_major, node) => {
      write(project(), FORMS)
      const all = await Promise.all(['mod.mjs', 'mod.cjs'].map((file) => runs(node, file)))
      expect(all).toEqual([expected, expected])
    },
  )

  test('is bundled by esbuild for browsers', async () => {
    write(project(), FORMS)
    const bundle = join(project(), 'bundle.cjs')
    const flags = [
      '--bundle',
      '--platform=browser',
      '--target=es2020',
      '--minify',
      `--outfile=${bundle}`,
      '--log-level=warning',
    ]
    await output(tool('@esbuild', `${process.platform}-${process.arch}`, 'bin', 'esbuild'), ['page.mjs', ...flags], {
      cwd: project(),
    })
    expect(readFileSync(bundle, 'utf8')).not.toMatch(/node:|require\(/)
    expect(await runs(process.execPath, bundle)).toBe(true)
  })

  test('the README’s sample runs as it is printed', async () => {
    const [, sample = ''] =
      /^```js\n([^]*?)^```/m.exec(readFileSync(join(ROOT, 'packages/client/README.md'), 'utf8')) ?? []
    write(project(), { 'sample.mjs': sample.replace('http://127.0.0.1:3000', service.url) })
    const said = await output(process.execPath, ['sample.mjs'], { cwd: project(), env: { KEY: TEST_KEY } })
    expect(said).toContain('/v1/artifacts/art_')
  })

  describe('its types compile', () => {
    const USE = `
import { ApiError, createClient, type Job } from '@genqueue/client'
const client = createClient({ baseUrl: '', key: 'k' })
export async function use(signal: AbortSignal): Promise<string | undefined> {
  const job: Job = await client.submit({ model: 'a/b', input: { prompt: 'x' } })
  // @ts-expect-error a number is no id
  await client.get(5)
  // @ts-expect-error no such field
  job.no_such_field
  try {
    return (await client.wait(job.id, { signal })).artifacts[0]?.url
  } catch (error) {
    return error instanceof ApiError ? error.code : undefined
  }
}
`
    const FILES = `
import { saveFile } from '@genqueue/client/node'
import { createProxy, expressProxy } from '@genqueue/client/proxy'
import { useJob } from '@genqueue/client/react'
export const proxy = createProxy({ baseUrl: '', key: 'k', authorize: (request) => ({ user: request.url }) })
export const express = expressProxy({ baseUrl: '', key: 'k', authorize: ({ headers }) => ({ user: String(headers.x) }) })
export const shown = (token: string): string | undefined => useJob('job_1', { token }).job?.status
export const restore = (photo: Blob) => client.run({ preset: 'a', input: { photo, all: [photo, new Uint8Array(1)] } })
export const follow = async (since: string | undefined): Promise<void> => {
  for await (const change of client.changes({ since })) if (change.type === 'job') console.log(change.job.id)
}
export const save = async (id: string): Promise<void> => {
  for (const file of (await client.get(id)).artifacts) await saveFile(client, file, new URL('file:///tmp/x'))
}
`
    const strict = { strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true }
    const browser = { lib: ['es2020', 'dom'], types: [] }
    const MODES: Record<
      string,
      { module: 'esm' | 'cjs'; options: Record<string, unknown>; from?: string; until?: string }
    > = {
      'nodenext, ES module, strict': { module: 'esm', options: { module: 'nodenext', ...strict, ...browser } },
      'nodenext, CommonJS, not strict': { module: 'cjs', options: { module: 'nodenext', strict: false, ...browser } },
      'bundler, strict': {
        module: 'esm',
        options: { module: 'esnext', moduleResolution: 'bundler', ...strict, ...browser },
      },
      'bundler, not strict': {
        module: 'esm',
        options: { module: 'esnext', moduleResolution: 'bundler', strict: false, ...browser },
        from: '7.0',
      },
      'node10, CommonJS': {
        module: 'cjs',
        options: { module: 'commonjs', moduleResolution: 'node', esModuleInterop: true, ...strict, ...browser },
        until: '5.0',
      },
    }
    const casesOf = (version: string) =>
      Object.entries(MODES)
        .filter(([, { from = version, until = version }]) => from === version && until === version)
        .map(([mode, { module, options }]) => ({ version, mode, module, options }))
    type Case = ReturnType<typeof casesOf>[number]

    function writeCase({ version, mode, module, options }: Case): string {
      const folder = join(project(), 'types', `${version} ${mode}`.replaceAll(/\W+/g, '-'))
      const compilerOptions = { target: 'es2020', noEmit: true, skipDefaultLibCheck: true, rootDir: '.', ...options }
      write(folder, {
        'package.json': JSON.stringify({ type: module === 'esm' ? 'module' : 'commonjs' }),
        'use.ts': module === 'cjs' ? USE + FILES : USE,
        'tsconfig.json': JSON.stringify({ compilerOptions, files: ['use.ts'] }),
      })
      return folder
    }

    /** All cases of 5.0 in one process: it reads the types of browsers, which take most of its time, once. */
    let findings: Promise<Record<string, string[]>> | undefined
    async function findingsOf50(): Promise<Record<string, string[]>> {
      const folders = casesOf('5.0').map(writeCase)
      const program = join(import.meta.dirname, 'compile-projects.cjs')
      const said = await output(process.execPath, [program, tool('typescript'), ...folders], {
        cwd: project(),
        env: { NODE_COMPILE_CACHE },
      })
      return JSON.parse(said) as Record<string, string[]>
    }

    test.each(casesOf('5.0'))('TypeScript $version: $mode', async (one) => {
      const folder = writeCase(one)
      expect((await (findings ??= findingsOf50()))[folder]).toEqual([])
    })

    test.each(casesOf('7.0'))('TypeScript $version: $mode', async (one) => {
      const folder = writeCase(one)
      await output(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', folder], { cwd: folder })
    })
  })
})

describe('@genqueue/replicate-simulator, installed alone', () => {
  const project = (): string => projects['@genqueue/replicate-simulator']

  test('its command answers as Replicate, with a picture', async () => {
    const port = await freePort()
    const running = spawnProcess(join(project(), 'node_modules/.bin/replicate-simulator'), ['--port', String(port)], {
      cwd: project(),
      env: { PATH: pathOf(OLDEST_OF_SIMULATOR), NODE_COMPILE_CACHE },
    })
    await running.waitForLine(/Simulator of Replicate's API/)
    const url = `http://127.0.0.1:${port}/v1/models/black-forest-labs/flux-schnell/predictions`
    const answer = await fetch(url, {
      method: 'POST',
      headers: { authorization: 'Bearer any', 'content-type': 'application/json', prefer: 'wait' },
      body: JSON.stringify({ input: { prompt: 'a lighthouse' } }),
    })
    const { output: files } = (await answer.json()) as { output: string[] }
    const file = await fetch(files[0] ?? '')
    expect(file.headers.get('content-type')).toBe('image/webp')
    expect(await running.kill('SIGTERM')).toEqual({ code: 0, signal: null })
  })

  test('the README’s sample runs as it is printed', async () => {
    const [, sample = ''] =
      /^```js\n([^]*?)^```/m.exec(readFileSync(join(ROOT, 'packages/simulator/README.md'), 'utf8')) ?? []
    write(project(), { 'sample.mjs': sample })
    const env = { NODE_COMPILE_CACHE }
    expect(await output(OLDEST_OF_SIMULATOR, ['sample.mjs'], { cwd: project(), env })).toMatch(
      /^http:\/\/127.0.0.1:\d+\/v1$/m,
    )
  })

  const FLUX = 'black-forest-labs/flux-schnell'

  test('its fixture for Jest gives each test a token, in a project without flags', async () => {
    write(project(), {
      'jest/kit.test.js': `
        const { file, useSimulator } = require('@genqueue/replicate-simulator/jest')
        const replicate = useSimulator({ clock: 'manual' })
        const create = () => replicate.fetch('https://api.replicate.com/v1/models/${FLUX}/predictions', {
          method: 'POST',
          headers: { authorization: 'Bearer ' + replicate.token, 'content-type': 'application/json' },
          body: JSON.stringify({ input: { prompt: 'a boat' } }),
        }).then((response) => response.json())
        const get = ({ urls }) => replicate.fetch(urls.get, { headers: { authorization: 'Bearer x' } }).then((one) => one.json())
        test('stubs', async () => {
          await replicate.stub({ output: file('words', 'text/plain'), seconds: 60, times: Infinity })
          const created = await create()
          await replicate.advance(6000)
          const { output } = await get(created)
          expect(output).toMatch(/^https:\\/\\/replicate\\.delivery\\//)
          expect(await (await replicate.fetch(output)).text()).toBe('words')
          expect(await replicate.requests()).toMatchObject([{ body: { input: { prompt: 'a boat' } } }])
        })
        test('are gone in the next test', async () => {
          expect(await replicate.requests()).toEqual([])
          const created = await create()
          await replicate.advance(6000)
          expect((await get(created)).output[0]).toMatch(/webp$/)
          expect((await replicate.books()).counts.created).toBe(2)
        })`,
      'jest/package.json': '{}',
    })
    const ran = spawnProcess(OLDEST_OF_SIMULATOR, [tool('jest/bin/jest.js'), '--rootDir', 'jest', '--ci'], {
      cwd: project(),
      env: { PATH: pathOf(OLDEST_OF_SIMULATOR) },
    })
    expect(await ran.exited, ran.stderr).toMatchObject({ code: 0 })
    expect(ran.stderr).toContain('Tests:       2 passed, 2 total')
  })

  test('its types compile', async () => {
    const use = `import { file, startSimulator, type Simulator } from '@genqueue/replicate-simulator'
      import { useSimulator } from '@genqueue/replicate-simulator/jest'
      export const inJest: string = useSimulator({ speed: 100 }).token
      import { redirectingFetch } from '@genqueue/replicate-simulator/fetch'
      export const redirected: typeof fetch = redirectingFetch({ to: 'http://127.0.0.1:4010' })
      export const stub = async () => (await simulator).scope().stub({ output: [file('x')], times: Infinity }).used
      export const simulator: Promise<Simulator> = startSimulator({ port: 0, dataDir: null, habits: {} })
      // @ts-expect-error port is a number
      void startSimulator({ port: 'x', dataDir: null })`
    const compilerOptions = {
      module: 'nodenext',
      strict: true,
      noEmit: true,
      types: [],
      lib: ['es2024', 'dom'],
      skipDefaultLibCheck: true,
    }
    write(project(), {
      'types/use.mts': use,
      'types/tsconfig.json': JSON.stringify({ compilerOptions, files: ['use.mts'] }),
    })
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
    await output(process.execPath, [tsc, '-p', 'types'], { cwd: project() })
  })
})

describe('genqueue, installed alone', () => {
  const command = (): string => join(projects.genqueue, 'node_modules/.bin/genqueue')
  /** On Node 20 where there is one: npm brings the Node 24 that the service runs on. */
  const npx = (args: string[], env: Record<string, string>): SpawnedProcess =>
    spawnProcess('npx', ['genqueue', ...args], {
      cwd: projects.genqueue,
      env: { ...npmSettings(), PATH: pathOf(NODES.get(20) ?? process.execPath), NODE_COMPILE_CACHE, ...env },
    })

  test('npx genqueue start makes a picture, keeps its data in ./.data, and stops cleanly', async () => {
    const port = await freePort()
    const running = npx(['start'], {
      PORT: String(port),
      SIMULATOR_PORT: '0',
      SIMULATOR_SPEED: '100',
      LOG_LEVEL: 'warn',
    })
    await running.waitForLine(/Try it:/)
    const url = `http://127.0.0.1:${port}`
    const env = { PATH: PATH_OF_NODE_24, NODE_COMPILE_CACHE, GENQUEUE_URL: url }
    const submit = ['submit', '--preset', 'story-page', '--input', 'prompt=a fox', '--save', 'pictures']
    await output(command(), submit, { cwd: projects.genqueue, env })
    const [picture = ''] = readdirSync(join(projects.genqueue, 'pictures'))
    expect(
      readFileSync(join(projects.genqueue, 'pictures', picture))
        .subarray(0, 4)
        .toString(),
    ).toBe('RIFF')

    const page = await (await fetch(url)).text()
    const [script = ''] = /\/assets\/index-[\w-]+\.js/.exec(page) ?? []
    expect((await fetch(`${url}${script}`)).status).toBe(200)
    expect(await (await fetch(`${url}/openapi.json`)).json()).toMatchObject({ info: { title: 'genqueue' } })
    const reference = await (await fetch(`${url}/docs`)).text()
    const [scalar = ''] = /\/assets\/scalar-[\w-]+\.js/.exec(reference) ?? []
    expect((await fetch(`${url}${scalar}`)).status).toBe(200)

    const data = join(projects.genqueue, '.data')
    const { pid } = readJson(join(data, 'genqueue.lock'))
    process.kill(Number(pid), 'SIGTERM')
    await running.exited
    expect(running.stderr).toMatch(/^(?:genqueue needs Node 24; this is Node 20\..* npm fetches one .*\n)?$/)
    expect(existsSync(join(data, 'genqueue.lock'))).toBe(false)
    expect(globSync('**/*.{pid,sock}', { cwd: data })).toEqual([])
  })

  test('a bucket without the packages for S3 is an error that says what to install', async () => {
    const env = { REDIS_URL: testRedisUrl(), KEY_PREFIX: freshPrefix(), PORT: '0', SIMULATOR_PORT: '0' }
    const bucket = { ARTIFACT_STORE: 's3', S3_BUCKET: 'files', S3_REGION: 'eu-central-1', DATA_DIR: tempDir() }
    const ran = spawnProcess(command(), ['start'], {
      cwd: projects.genqueue,
      env: { PATH: PATH_OF_NODE_24, NODE_COMPILE_CACHE, ...env, ...bucket },
    })
    expect(await ran.exited).toMatchObject({ code: 1 })
    expect(ran.stderr).toMatch(
      /S3_BUCKET needs two packages .* npm install @aws-sdk\/client-s3 @aws-sdk\/s3-request-presigner$/m,
    )
  })

  const older = [...NODES].filter(([major]) => major < 24)
  test.each(older)('on Node %i without npm its commands say which Node they need', async (major, node) => {
    const simulator = join(projects['@genqueue/replicate-simulator'], 'node_modules/.bin/replicate-simulator')
    const bins = [
      [command(), '24'],
      [simulator, '22.19'],
    ] as const
    for (const [bin, least] of bins) {
      const ran = spawnProcess(node, [bin, 'start'], { env: { PATH: '' } })
      expect(await ran.exited).toMatchObject({ code: 1 })
      expect(ran.stderr).toMatch(
        new RegExp(`needs Node ${least} or newer; this is Node ${major}\\..* npm brought none\\.\\n.*nvm install 24`),
      )
    }
  })
})
