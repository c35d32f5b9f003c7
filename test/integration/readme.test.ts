import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import sharp from 'sharp'
import { beforeAll, describe, expect, inject, test } from 'vitest'
import { z } from 'zod'
import { damagedPhoto } from '../simulator/support/media.ts'
import { freePort } from '../support/free-port.ts'
import { freshPrefix, testRedisUrl } from '../support/redis.ts'
import { fillCompileCache, NODE_COMPILE_CACHE } from '../support/compile-cache.ts'
import { PART_SOURCES } from '../support/programs.ts'
import { spawnNode, spawnProcess, type SpawnedProcess } from '../support/spawn-process.ts'
import { tempDir } from '../support/temp-dir.ts'

/**
 * Every `sh bare` block of README.md and docs/*.md is typed as it is written, in a copy of the project, without a network, and so
 * is every `sh role` block, which starts a process that stays. The samples of docs/client.md are run. Only ports, the address of
 * Redis and the id of a key are replaced. Blocks that are plain `sh` need Docker, an account, a public address or minutes.
 *
 * They run on the machine's own Node, the oldest that is promised or newer; docs/cli.md begins on the newest. `npx` and loading the
 * sources cost more than the commands do: README.md and the first block of docs/cli.md use them, and the rest has the stand-in below.
 */

const root = join(import.meta.dirname, '../..')

const blocks = (page: string, kind: string): string[] =>
  [...readFileSync(join(root, page), 'utf8').matchAll(/^```(\S[^\n]*)\n([^]*?)^```/gm)]
    .filter(([, words]) => words === kind)
    .map(([, , block = '']) => block)

/** The machine's own, without the Node that npm scripts bring: what a person's shell has. */
const PATH = (process.env.PATH ?? '')
  .split(delimiter)
  .filter((folder) => !folder.includes('node_modules'))
  .join(delimiter)

/** The same machine with the newest Node in place of the installed one. */
const NEWEST = [dirname(process.execPath), PATH].join(delimiter)

/** A folder with an `npx` that runs `genqueue` as the real one does: the program of package.json, on the Node of the project. */
function standIn(): string {
  const { bin } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { bin: { genqueue: string } }
  const bundle = inject('programs')?.[join(root, bin.genqueue)]
  if (bundle === undefined) throw new Error(`${bin.genqueue} is none of the programs that tests start`)
  const folder = tempDir()
  const script = [
    '#!/bin/sh',
    '[ "$1" = genqueue ] || exit 127',
    'shift',
    `exec "$PWD/node_modules/.bin/node" '${bundle}' "$@"`,
  ]
  writeFileSync(join(folder, 'npx'), `${script.join('\n')}\n`, { mode: 0o755 })
  return folder
}

/**
 * The project as a clone would have it, with the packages that are here: links, so that nothing can harm the real ones. The sources,
 * which nothing writes, are a link too: what other tests have compiled serves here.
 */
function copyOfProject(): string {
  const copy = tempDir()
  const leave = new Set(['node_modules', '.git', '.data', '.env', 'test', 'bench', 'src'])
  for (const name of readdirSync(root).filter((entry) => !leave.has(entry)))
    cpSync(join(root, name), join(copy, name), { recursive: true, filter: (file) => !file.endsWith('.setup.lock') })
  symlinkSync(join(root, 'src'), join(copy, 'src'))
  mkdirSync(join(copy, 'node_modules'))
  for (const name of readdirSync(join(root, 'node_modules')))
    symlinkSync(join(root, 'node_modules', name), join(copy, 'node_modules', name))
  return copy
}

/** Pages whose blocks are run below; what the others have must be plain `sh`. */
const TYPED = [
  'README.md',
  ...['api', 'cli', 'credits', 'inputs', 'notifications', 'operations', 'storage', 'tenants'].map(
    (page) => `docs/${page}.md`,
  ),
]

test('a command of a page runs on any Node: none calls `node` for a file of the project', () => {
  const pages = ['README.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)].filter((name) =>
    name.endsWith('.md'),
  )
  const typed = pages.filter((page) => blocks(page, 'sh bare').length + blocks(page, 'sh role').length > 0)
  expect(typed.sort()).toEqual([...TYPED].sort())
  const direct = pages.flatMap((page) =>
    ['sh', 'sh bare', 'sh role'].flatMap((kind) =>
      blocks(page, kind)
        .flatMap((block) => block.split('\n'))
        .filter((line) => /(?:^|[\s;&|(])node [\w./-]+\.m?[jt]s\b/.test(line) && !line.includes('docker compose exec')),
    ),
  )
  expect(direct).toEqual([])
})

describe('the documented commands on a bare machine', () => {
  let project: string
  let port: number
  let simulatorPort: number
  let running: SpawnedProcess
  let rotation: Promise<string>
  const npx = standIn()

  /** Types a script, without `path` on the machine's own Node and with the stand-in for npx. */
  const type = async (script: string, path = `${npx}${delimiter}${PATH}`): Promise<string> => {
    const shell = spawnProcess('bash', ['-euo', 'pipefail', '-c', script.replaceAll(':3000', `:${port}`)], {
      cwd: project,
      env: { PATH: path, NODE_COMPILE_CACHE, SIMULATOR_PORT: String(simulatorPort) },
    })
    const { code } = await shell.exited
    expect(code, `${script}\n${shell.stdout}${shell.stderr}`).toBe(0)
    return shell.stdout
  }

  beforeAll(async () => {
    const [start = '', ...rest] = blocks('README.md', 'sh bare')
    expect(start).toBe('npm start\n')
    expect(rest.length).toBeGreaterThan(0)
    // Several processes load the sources, and the first of them ends last.
    await fillCompileCache(PART_SOURCES)
    project = copyOfProject()
    port = await freePort()
    simulatorPort = await freePort()
    // No proxy leads anywhere: every network access fails at once.
    const offline = { npm_config_registry: 'http://127.0.0.1:9/', npm_config_offline: 'true' }
    running = spawnProcess('sh', ['-c', start], {
      cwd: project,
      env: {
        PATH,
        NODE_COMPILE_CACHE,
        ...offline,
        PORT: String(port),
        SIMULATOR_PORT: String(simulatorPort),
        SIMULATOR_SPEED: '10',
        LOG_LEVEL: 'warn',
      },
    })
    await running.waitForLine(/Try it:/)
    // It waits for 13 seconds, and everything must work meanwhile.
    rotation = type(blocks('docs/operations.md', 'sh bare').slice(2).join('\n'))
    rotation.catch(() => undefined)
    return async () => {
      const lock = readFileSync(join(project, '.data', 'genqueue.lock'), 'utf8')
      process.kill(Number(/\d+/.exec(lock)?.[0]), 'SIGTERM')
      await running.exited
    }
  })

  test('README.md: the service starts, and a first job brings a picture', async () => {
    expect(running.stdout).toMatch(/Studio +http:/)
    const answer = await type(blocks('README.md', 'sh bare')[1] ?? '')
    const job = z.looseObject({ status: z.string(), output: z.array(z.string()) }).parse(JSON.parse(answer))
    expect(job.status).toBe('succeeded')
    const [sample = ''] = blocks('README.md', 'json')
    expect(Object.keys(job)).toEqual(expect.arrayContaining(Object.keys(JSON.parse(sample))))
    const page = await fetch(`http://127.0.0.1:${port}/`)
    expect(await page.text()).toContain('<title>')
  })

  test('the greeting’s own line works as it is printed', async () => {
    const [, line = ''] = running.stdout.split('Try it:')
    const answer = z.looseObject({ status: z.string() }).parse(JSON.parse(await type(line)))
    expect(answer.status).toBe('succeeded')
  })

  test('README.md: the command line saves a picture', async () => {
    await type(blocks('README.md', 'sh bare').slice(2).join('\n'), PATH)
    const [picture = ''] = readdirSync(join(project, 'pictures'))
    expect(picture).toMatch(/^job_\w+\.webp$/)
  })

  test('docs/cli.md: every command does what it says', async () => {
    const [first = '', ...rest] = blocks('docs/cli.md', 'sh bare')
    expect(rest.length).toBeGreaterThan(1)
    expect(await type(first, NEWEST)).toMatch(/^story-page +Story page/m)
    const [address = ''] = first.split('\n')
    expect(await type([address, ...rest].join('\n'))).toMatch(
      /^3 +job_\w+ +succeeded +the fox and a seagull sail at night +pictures\/bat_\w+-3\.webp$/m,
    )
    const page: unknown = JSON.parse(readFileSync(join(project, 'page.json'), 'utf8'))
    expect(page).toMatchObject({ status: 'succeeded', input: { seed: 7, aspect_ratio: '3:2' }, metadata: { page: 1 } })
  })

  test('docs/notifications.md: an endpoint is created, and what failed is sent again', async () => {
    const [address = ''] = (blocks('docs/cli.md', 'sh bare')[0] ?? '').split('\n')
    const answer = await type([address, ...blocks('docs/notifications.md', 'sh bare')].join('\n'))
    expect(answer).toMatch(/^whsec_\S+$/m)
    expect(answer).toMatch(/^0 notifications are sent again$/m)
    const [, id = ''] = /^(ep_\w+) +http:\/\/localhost:3010\/hook +enabled/m.exec(answer) ?? []
    expect(await type(`${address}\nnpx genqueue endpoints delete ${id}`)).toContain(`${id}  deleted`)
  })

  test('docs/inputs.md: a photograph is restored, by an upload and by a data URI', async () => {
    writeFileSync(
      join(project, 'photo.jpg'),
      await sharp(await damagedPhoto())
        .jpeg()
        .toBuffer(),
    )
    const all = blocks('docs/inputs.md', 'sh bare')
    expect(all).toHaveLength(2)
    // $GENQUEUE and $KEY are those of the page before.
    const [names = ''] = blocks('docs/api.md', 'sh bare')
    await type([names, ...all].join('\n'))
    const read = (name: string): unknown => JSON.parse(readFileSync(join(project, name), 'utf8'))
    const restored = {
      status: 'succeeded',
      input: { input_image: expect.stringMatching(/^\/v1\/uploads\/upl_\w{26}$/) },
      artifacts: [{ media_type: 'image/png', width: expect.any(Number) }],
    }
    expect(read('restored.json')).toMatchObject(restored)
    expect(read('again.json')).toMatchObject(restored)
    const [upload = ''] = blocks('docs/inputs.md', 'json')
    expect(JSON.parse(upload)).toMatchObject({ url: restored.input.input_image })
  })

  test('docs/client.md: the samples run', async () => {
    const samples = blocks('docs/client.md', 'ts run')
    expect(samples.length).toBeGreaterThan(1)
    const { apiKey } = JSON.parse(readFileSync(join(project, '.data', 'credentials.json'), 'utf8')) as {
      apiKey: string
    }
    const said: string[] = []
    for (const [at, sample] of samples.entries()) {
      const here = sample
        .replaceAll(':3000', `:${port}`)
        .replaceAll(/'@genqueue\/client(?:\/(\w+))?'/g, (_, entry = 'client') => `'./src/client/${entry}.ts'`)
      writeFileSync(join(project, `sample-${at}.ts`), here)
      const ran = spawnNode(`sample-${at}.ts`, [], { cwd: project, env: { KEY: apiKey } })
      expect((await ran.exited).code, ran.stderr).toBe(0)
      said.push(ran.stdout)
    }
    expect(said[0]).toContain('/v1/artifacts/art_')
    expect(said[1]).toMatch(/^restore-image-\w+\.png \d+\n$/)
    expect(said[2]).toMatch(/^2 of 2\n0 succeeded cover\n1 succeeded 1\n6000\n$/m)
    expect(said[4]).toMatch(/^(?:\d+\n)+\S/)
    expect(said[3]).toMatch(/^succeeded 1\n\w+-\d+-\d+\n(?:job_\w+\n)+$/m)
  })

  test('docs/api.md: every request is answered', async () => {
    const all = blocks('docs/api.md', 'sh bare')
    expect(all.length).toBeGreaterThan(6)
    const said = await type(all.join('\n'))
    expect(said).toContain('event: job')
    expect(said).toContain('"status":"canceled"')
    expect(readFileSync(join(project, 'fox.webp')).subarray(0, 4).toString()).toBe('RIFF')
    expect(readFileSync(join(project, 'head.bin'))).toHaveLength(12)
    const [sample = ''] = blocks('docs/api.md', 'json')
    const real: unknown = JSON.parse(readFileSync(join(project, 'job.json'), 'utf8'))
    expect(Object.keys(JSON.parse(sample))).toEqual(Object.keys(z.record(z.string(), z.unknown()).parse(real)))
  })

  test('docs/storage.md: the lasting link of a job', async () => {
    const [names = ''] = blocks('docs/api.md', 'sh bare')
    // The job that docs/cli.md made.
    const id = `export ID=$(node -p "require('./page.json').id")`
    expect(await type([names, id, ...blocks('docs/storage.md', 'sh bare')].join('\n'))).toContain('/v1/artifacts/')
  })

  test('docs/tenants.md: a tenant and its keys', async () => {
    const [commands = '', ...rest] = blocks('docs/tenants.md', 'sh bare')
    const [before = '', after = ''] = commands.split(/(?=^npx genqueue keys rotate)/m)
    const key = await type(before)
    const [id = ''] = [...key.matchAll(/^gq_(\w{12})_/gm)].map(([, one]) => one)
    const said = await type([after.replaceAll('4fK09aTzQ1Lm', id), ...rest].join('\n'))
    expect(said).toMatch(new RegExp(`^${id} +acme +back end +.* revoked `, 'm'))
    // Suspended, then with times of its own, of which the first returns to that of the deployment.
    const row = (keep: string): RegExp => new RegExp(`^acme +Acme Books +600 +500 .* ${keep} +\\S+Z +\\S+Z$`, 'm')
    for (const keep of ['default default default', '1h default 90d', 'default default 90d'])
      expect(said).toMatch(row(keep))
  })

  test('docs/credits.md: credits are granted once, and every ledger adds up', async () => {
    const [names = ''] = blocks('docs/api.md', 'sh bare')
    // The tenant that docs/tenants.md made.
    const said = await type([names, ...blocks('docs/credits.md', 'sh bare')].join('\n'))
    // The grant at the terminal repeats the one by HTTP.
    expect(said.match(/"reason":"Invoice 2026-114"/g)).toHaveLength(1)
    expect(said).toMatch(/ adjustment +-500000 +24500000 +0 +0 +Refunded$/m)
    expect(said).toMatch(/^acme: 2 entries, 0 open holds: no problems\.$/m)
    expect(said).toMatch(/^\{"tenant":"acme","entries":2,.*"problems":\[\]\}$/m)
  })

  test('docs/operations.md: keys are rotated, and the audit finds nothing', async () => {
    const said = await rotation
    expect(said).toContain('The key was rotated.')
    expect(said).toContain('The key of lasting links was rotated.')
    const [limits = '', audit = ''] = blocks('docs/operations.md', 'sh bare')
    expect(await type(limits)).toContain('The model is being replaced until 10:00.')
    expect(await type(audit)).toMatch(/0 findings/)
  })

  test('docs/operations.md: each role starts, and ends with SIGTERM', async () => {
    const [apiPort, workerPort, groupPort] = [await freePort(), await freePort(), await freePort()]
    const env = { KEY_PREFIX: freshPrefix(), DATA_DIR: tempDir(), REPLICATE_BASE_URL: 'http://127.0.0.1:9/v1' }
    const lines = blocks('docs/operations.md', 'sh role').map((line) =>
      line.replace('redis://127.0.0.1:6379', testRedisUrl()).replace('=3001', `=${workerPort}`),
    )
    expect(lines).toHaveLength(3)
    const ports = [apiPort, workerPort, groupPort]
    const roles = lines.map((line, i) =>
      spawnProcess('bash', ['-c', `exec env ${line}`], {
        cwd: project,
        env: { PATH, NODE_COMPILE_CACHE, ...env, PORT: String(ports[i]) },
      }),
    )
    for (const role of roles) await role.waitForLine(/genqueue is running/)
    for (const port of ports) expect((await fetch(`http://127.0.0.1:${port}/livez`)).status).toBe(200)
    await Promise.all(roles.map((role) => role.kill()))
    for (const port of ports) await expect(fetch(`http://127.0.0.1:${port}/livez`)).rejects.toThrow()
  })
})

test('the picture of README.md is there, and small', () => {
  const file = join(root, 'docs/images/studio.png')
  expect(existsSync(file)).toBe(true)
  expect(readFileSync(file).byteLength).toBeLessThan(400_000)
})
