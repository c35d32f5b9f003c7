import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { parseEnv } from 'node:util'

import { describe, expect, it, onTestFinished } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'

import { VARIABLE_NAMES } from '../../src/shared/settings/config-variables.ts'
import { freePort } from '../support/free-port.ts'
import { tempDir } from '../support/temp-dir.ts'

const root = join(import.meta.dirname, '../..')
const read = (file: string) => readFileSync(join(root, file), 'utf8')

const groupsOf = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map(([, group = '']) => group)

const limits = z.object({
  mem_limit: z.string(),
  pids_limit: z.number(),
  logging: z.object({ options: z.record(z.string(), z.string()) }),
})
const service = limits.extend({
  environment: z.record(z.string(), z.string()).default({}),
  env_file: z.string().optional(),
  cap_drop: z.array(z.string()),
  security_opt: z.array(z.string()),
  read_only: z.boolean(),
  healthcheck: z.object({}),
  command: z.array(z.string()).optional(),
  extends: z.object({ file: z.string(), service: z.string() }).optional(),
  ports: z.array(z.string()).default([]),
  deploy: z.object({ replicas: z.string() }).optional(),
})
const compose = z
  .object({ services: z.record(z.string(), service) })
  .parse(parse(read('docker-compose.yml'), { merge: true }))

describe('the image', () => {
  it('runs the same major version of Node as npm scripts do', () => {
    const { version } = z.object({ version: z.string() }).parse(JSON.parse(read('tools/node-runtime/package.json')))
    const major = version.split('.')[0]
    const files = ['Dockerfile', 'docker-compose.yml', 'deploy/compose/pin.sh'].map(read).join('\n')
    expect(new Set(groupsOf(files, /\bnode:(\d+)/g))).toEqual(new Set([major]))
    // One place names it, so that one variable pins it.
    expect(groupsOf(read('Dockerfile'), /^FROM (\S+)/gm).filter((base) => !['base'].includes(base))).toEqual([
      '${NODE_IMAGE}',
      '${NODE_IMAGE}',
      '${NODE_IMAGE}',
    ])
  })

  it('keeps neither TypeScript nor source maps of packages', () => {
    const [command = ''] = groupsOf(read('Dockerfile'), /^RUN (find node_modules .+)$/gm)
    const folder = tempDir()
    mkdirSync(join(folder, 'node_modules/one/dist'), { recursive: true })
    const names = ['a.js', 'a.js.map', 'a.d.ts', 'a.d.mts', 'a.d.cts', 'a.ts', 'a.cjs', 'ts.json', 'maps']
    for (const name of names) writeFileSync(join(folder, 'node_modules/one/dist', name), '')
    execFileSync('sh', ['-c', command], { cwd: folder })
    expect(readdirSync(join(folder, 'node_modules/one/dist')).toSorted()).toEqual(['a.cjs', 'a.js', 'maps', 'ts.json'])
  })

  describe('finds itself healthy', () => {
    const check = /^HEALTHCHECK .*\\\n\s+CMD (\[.*\])$/m.exec(read('Dockerfile'))?.[1] ?? ''
    const [, ...args] = z.array(z.string()).parse(JSON.parse(check))
    async function exitCode(ports: Record<string, string>): Promise<number | null> {
      const child = spawn(process.execPath, args, { env: ports, stdio: 'ignore' })
      const [code]: unknown[] = await once(child, 'exit')
      return typeof code === 'number' ? code : null
    }
    async function listening(status: number): Promise<string> {
      const server = createServer((request, response) =>
        response.writeHead(request.url === '/livez' ? status : 404).end(),
      )
      onTestFinished(() => void server.close())
      await once(server.listen(0, '127.0.0.1'), 'listening')
      return String(z.object({ port: z.number() }).parse(server.address()).port)
    }

    it('by the port of an api, by that of a worker, and by nothing else', async () => {
      const [well, ill, closed] = [await listening(200), await listening(500), String(await freePort())]
      expect(await exitCode({ PORT: well, HEALTH_PORT: closed })).toBe(0)
      expect(await exitCode({ PORT: closed, HEALTH_PORT: well })).toBe(0)
      expect(await exitCode({ PORT: closed, HEALTH_PORT: closed })).toBe(1)
      expect(await exitCode({ PORT: ill, HEALTH_PORT: closed })).toBe(1)
    })

    it('also as a worker that was given no port: the image has one', () => {
      expect(read('Dockerfile')).toMatch(/^ENV .*\bHEALTH_PORT=\d+/m)
    })
  })

  it('starts files that exist, without root', () => {
    // By number: what runs the image can see that it is not root.
    expect(read('Dockerfile')).toMatch(/^USER [1-9]\d*:[1-9]\d*$/m)
    const commands = [
      /^CMD (\[.*\])$/m.exec(read('Dockerfile'))?.[1] ?? '',
      JSON.stringify(compose.services['simulator']?.command),
    ]
    const entries = commands.map((command) => {
      const [program, ...args] = z.array(z.string()).parse(JSON.parse(command))
      expect(program).toBe('node')
      return args.find((arg) => !arg.startsWith('--'))
    })
    expect(entries).toEqual(['src/main.ts', 'src/simulator/main.ts'])
    for (const entry of entries) expect(existsSync(join(root, entry ?? '')), entry).toBe(true)
  })

  it('of the simulator has the packages that the simulator imports, and nothing else', () => {
    const folder = join(root, 'src/simulator')
    const sources = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
    // What a test runner loads runs in its project.
    const texts = sources
      .filter((file) => !file.startsWith('fixtures'))
      .map((file) => read(join('src/simulator', file)))
    const imported = texts.flatMap((text) =>
      groupsOf(
        text,
        /(?:^(?:import|export) (?!type )[^'"]*?from |^import |\bimport\()'(?!node:|\.)((?:@[^/']+\/)?[^/']+)/gm,
      ),
    )
    const [listed = ''] = groupsOf(read('Dockerfile'), /^ARG SIMULATOR_MODULES="([^"]+)"$/gm)
    expect(listed.split(' ')).toEqual([...new Set(imported)].toSorted())
    const [entry = ''] = groupsOf(read('Dockerfile'), /^ENTRYPOINT (\[.*\])$/gm)
    const [program, file = ''] = z.array(z.string()).parse(JSON.parse(entry))
    expect([program, existsSync(join(root, file))]).toEqual(['node', true])
    expect(file.startsWith('src/simulator/')).toBe(true)
  })

  it('keeps only those packages of package.json, in its versions', () => {
    const [program = ''] = groupsOf(read('Dockerfile'), /^RUN node -e "(.+)"$/gm)
    const cwd = tempDir()
    cpSync(join(root, 'package.json'), join(cwd, 'package.json'))
    execFileSync(process.execPath, ['-e', program], { cwd, env: { SIMULATOR_MODULES: 'ajv zod' } })
    const versions = z.record(z.string(), z.string())
    const manifest = z.object({ dependencies: versions, devDependencies: versions })
    const [all, kept] = [root, cwd].map((folder) =>
      manifest.parse(JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))),
    )
    expect(kept).toEqual({
      dependencies: { ajv: all?.dependencies['ajv'], zod: all?.dependencies['zod'] },
      devDependencies: {},
    })
  })

  it('takes what it copies from what the build may see', () => {
    const seen = groupsOf(read('.dockerignore'), /^!(\S+)$/gm)
    const copied = groupsOf(read('Dockerfile'), /^COPY (?!--from)(.+) \S+$/gm).flatMap((names) => names.split(' '))
    expect(copied).toContain('docs/openapi.yaml')
    for (const name of copied) {
      expect(existsSync(join(root, name)), name).toBe(true)
      expect(
        seen.some((one) => name === one || name.startsWith(`${one}/`)),
        name,
      ).toBe(true)
    }
  })
})

describe('the compose file', () => {
  it('hands on every variable that the service reads', () => {
    // In a container: no embedded Redis, no simulator inside, and the image's own address and folder.
    const notHere = ['HOST', 'PORT', 'DATA_DIR', 'REDIS_SERVER_BIN', 'SIMULATOR_PORT', 'HEALTH_PORT']
    for (const name of ['api', 'worker']) {
      const { environment = {}, env_file: file = '' } = compose.services[name] ?? {}
      for (const upstream of ['', '.replicate']) {
        const fromFile = read(file.replace(/\$\{.*\}/, upstream)).matchAll(/^(\w+)=/gm)
        const given = [...Object.keys(environment), ...[...fromFile].map(([, variable]) => variable)]
        const wanted = VARIABLE_NAMES.filter(
          (variable) => !notHere.includes(variable) && !variable.startsWith('SIMULATOR_'),
        )
        expect(given, `${name} ${upstream}`).toEqual(expect.arrayContaining(wanted))
      }
    }
    const simulator = Object.keys(compose.services['simulator']?.environment ?? {})
    const wanted = VARIABLE_NAMES.filter((variable) => /^SIMULATOR_(?!PORT)/.test(variable))
    expect(simulator).toEqual(expect.arrayContaining(wanted))
  })

  it('gives no container more rights than it needs', () => {
    for (const [name, { cap_drop, security_opt, read_only }] of Object.entries(compose.services)) {
      expect({ cap_drop, security_opt, read_only }, name).toEqual({
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
        read_only: true,
      })
    }
  })

  it('bounds the memory, the processes and the log of every container', () => {
    for (const [name, { pids_limit, logging }] of Object.entries(compose.services)) {
      expect(pids_limit, name).toBeGreaterThan(0)
      expect(logging.options, name).toEqual({ 'max-size': '10m', 'max-file': '5' })
    }
    // More than twice what its data may have: while it rewrites its file, pages may be there twice.
    const bytes = (text = ''): number => {
      const [, number, unit = ''] = /:-(\d+)([mg])b?\}$/.exec(text) ?? []
      return Number(number) * (unit === 'g' ? 1024 : 1)
    }
    const { mem_limit = '', command = [] } = compose.services['redis'] ?? {}
    expect(bytes(mem_limit)).toBeGreaterThan(2 * bytes(command[command.indexOf('--maxmemory') + 1]))
  })

  it('is reached from this machine only, unless configured otherwise', () => {
    const published = Object.entries(compose.services).flatMap(([name, { ports }]) => ports.map((port) => [name, port]))
    expect(published).toEqual([['api', '${BIND_ADDRESS:-127.0.0.1}:${PORT:-3000}:3000']])
  })

  it('gives Redis a password, which every other container knows', () => {
    const { command = [], environment } = compose.services['redis'] ?? {}
    expect(command[command.indexOf('--requirepass') + 1]).toMatch(/^\$\{REDIS_PASSWORD\?/)
    expect(command).not.toContain('--protected-mode')
    expect(environment?.['REDISCLI_AUTH']).toBe('${REDIS_PASSWORD:-}')
    for (const name of ['api', 'worker'])
      expect(compose.services[name]?.environment['REDIS_URL']).toBe(
        '${REDIS_URL:-redis://:${REDIS_PASSWORD:-}@redis:6379}',
      )
  })

  it('asks for nothing but what is made once', () => {
    expect(groupsOf(read('docker-compose.yml'), /\$\{(\w+):?\?/g)).toEqual(['REDIS_PASSWORD'])
    expect(compose.services['worker']?.deploy?.replicas).toBe('${WORKERS:-1}')
  })

  it.each([
    ['simulator', '${REPLICATE_API_TOKEN:+.replicate}'],
    ['redis', '${REDIS_URL:+.external}'],
  ])('runs its %s only where nothing else takes its place', (name, condition) => {
    const { file = '', service: extended } = compose.services[name]?.extends ?? {}
    expect({ file, extended }).toEqual({ file: `deploy/compose/${name}${condition}.yml`, extended: name })
    const profiles = (suffix: string): unknown => {
      const text = read(file.replace(condition, suffix))
      return z
        .object({ services: z.record(z.string(), z.object({ profiles: z.array(z.string()).default([]) })) })
        .parse(parse(text)).services[name]?.profiles
    }
    expect(profiles('')).toEqual([])
    expect(profiles(condition.slice(condition.indexOf('+') + 1, -1))).toEqual([name])
  })

  it('documents each of its variables', () => {
    const used = new Set(groupsOf(read('docker-compose.yml'), /\$\{(\w+)/g))
    const documented = new Set([
      ...groupsOf(read('docs/operations.md'), /^\| `(\w+)`(?:, `\w+`)* \|/gm),
      ...groupsOf(read('docs/operations.md'), /^\| `\w+`, `(\w+)`/gm),
      ...VARIABLE_NAMES,
    ])
    expect([...used].filter((name) => !documented.has(name))).toEqual([])
  })

  it('keeps what Redis stores, and never evicts it', () => {
    const command = compose.services['redis']?.command?.join(' ')
    expect(command).toContain('--appendonly yes')
    expect(command).toContain('--maxmemory-policy noeviction')
  })
})

describe('the secrets of compose', () => {
  function project(env: string | null = null) {
    const folder = tempDir()
    mkdirSync(join(folder, 'deploy/compose'), { recursive: true })
    for (const name of ['init.sh', 'pin.sh'])
      cpSync(join(root, 'deploy/compose', name), join(folder, 'deploy/compose', name))
    const file = join(folder, '.env')
    if (env !== null) writeFileSync(file, env)
    const run = (script: string, variables: Record<string, string> = {}): void =>
      void execFileSync('sh', [join(folder, 'deploy/compose', script)], {
        env: { PATH: process.env['PATH'], ...variables },
        stdio: 'pipe',
      })
    return { folder, file, run, read: () => parseEnv(readFileSync(file, 'utf8')) }
  }

  it('are made once, for their owner only, and stay what they are', () => {
    const { file, run, read: made } = project()
    run('init.sh')
    const first = made()
    expect(first).toEqual({
      DEV_API_KEY: expect.stringMatching(/^[0-9a-f]{64}$/),
      REDIS_PASSWORD: expect.stringMatching(/^[0-9a-f]{64}$/),
    })
    expect(first['DEV_API_KEY']).not.toBe(first['REDIS_PASSWORD'])
    expect(statSync(file).mode & 0o777).toBe(0o600)
    run('init.sh', { DEV_API_KEY: 'of-another-shell-0123456789-0123456789' })
    expect(made()).toEqual(first)
  })

  it('take over the key of a shell, and leave what a person wrote', () => {
    const key = 'of-this-shell-0123456789-0123456789'
    const fresh = project('PUBLIC_URL=https://queue.example.com')
    fresh.run('init.sh', { DEV_API_KEY: key })
    expect(fresh.read()).toMatchObject({ PUBLIC_URL: 'https://queue.example.com', DEV_API_KEY: key })
    // Keys of tenants only.
    const tenants = project('DEV_API_KEY=\n')
    tenants.run('init.sh')
    expect(tenants.read()).toEqual({ DEV_API_KEY: '', REDIS_PASSWORD: expect.stringMatching(/^[0-9a-f]{64}$/) })
  })

  it('stand beside the digests of the images, which are rewritten each time', () => {
    const { folder, run, read: made } = project('REDIS_PASSWORD=kept\nNODE_IMAGE=node:24@sha256:old')
    const digest = `sha256:${'0'.repeat(64)}`
    const docker = `#!/bin/sh\n[ "$1" = pull ] || echo "registry.example.com/any@${digest}"\n`
    writeFileSync(join(folder, 'docker'), docker, { mode: 0o755 })
    run('pin.sh', { PATH: `${folder}:${process.env['PATH']}` })
    expect(made()).toEqual({
      REDIS_PASSWORD: 'kept',
      NODE_IMAGE: `node:24-bookworm-slim@${digest}`,
      REDIS_IMAGE: `redis:8@${digest}`,
    })
  })
})
