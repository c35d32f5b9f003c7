import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { failureOf } from '../../src/cli/failures.ts'
import { runProgram } from '../../src/cli/program.ts'
import type { Batch, Job, Preset } from '../../src/client/types.ts'
import { freePort } from '../support/free-port.ts'
import { ended, genqueue, runGenqueue, serviceEnv, startGenqueue, type Ended } from '../support/genqueue.ts'
import { noisyPicture } from '../support/picture.ts'
import { startService, type TestService } from '../support/start-service.ts'
import { waitFor } from '../support/wait-for.ts'
import { tempDir } from '../support/temp-dir.ts'

/**
 * `genqueue` as users and scripts call it. Where it matters that it is a process (it ends, it runs beside another one, it gets a signal),
 * it is one; elsewhere it runs in this process.
 */

const THOUGHT = { model: 'google/gemini-3-pro', input: { prompt: 'a long thought' } }

let service: TestService
beforeAll(async () => {
  service = await startService({ simulator: { speed: 30 } })
  return () => service.stop()
})

/** The next predictions begin, and never end by themselves. */
const neverEnding = (next: number) => service.simulator.faults({ predictions: { starting_forever: { next } } })

const run = (args: string[], cwd?: string): Promise<Ended> =>
  runGenqueue(args, { env: serviceEnv(service), ...(cwd === undefined ? {} : { cwd }) })
const runAlone = (args: string[], cwd?: string): Promise<Ended> => genqueue(service, args, cwd)
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters
const document = <T>({ stdout }: Ended): T => JSON.parse(stdout) as T
const lines = <T>({ stdout }: Ended): T[] =>
  stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as T)

describe('submit', () => {
  test('prints the id and leaves; the same idempotency key makes it once', async () => {
    const args = ['submit', '--preset', 'story-page', '--input', 'prompt=a fox', '--input', 'seed=3']
    const [first, second] = await Promise.all(
      [runAlone, run].map((call) => call([...args, '--idempotency-key', 'fox'])),
    )
    expect(first).toMatchObject({ exit: 0, stderr: '', stdout: expect.stringMatching(/^job_\w{26}\n$/) as string })
    expect(second).toEqual(first)
    const job = await service.client.get(first?.stdout.trim() ?? '')
    expect(job.input).toMatchObject({ prompt: 'a fox', seed: 3 })
  })

  test('--wait prints each change, then the output', async () => {
    const args = ['submit', '--preset', 'story-page', '--input', 'prompt=a fox', '--wait']
    const { exit, stdout, stderr } = await run(args)
    expect(exit).toBe(0)
    expect(stderr).toMatch(/^job_\w+ {2}succeeded$/m)
    expect(stderr).toMatch(/succeeded after [\d.]+ s, 0\.003 credits\n$/)
    const picture = await fetch(stdout.trim())
    expect(picture.headers.get('content-type')).toBe('image/webp')
  })

  test('takes the input from a file, and single fields beside it', async () => {
    const folder = tempDir()
    writeFileSync(join(folder, 'input.json'), JSON.stringify({ prompt: 'from the file', seed: 1 }))
    const args = ['submit', '--preset', 'story-page', '--input-file', 'input.json', '--input', 'seed=2', '--json']
    const { input, metadata } = document<Job>(await run([...args, '--metadata', 'page="7"'], folder))
    expect(input).toMatchObject({ prompt: 'from the file', seed: 2 })
    expect(metadata).toEqual({ page: '7' })
  })

  test('uploads a file that an input names, and nothing that is a text', async () => {
    const folder = tempDir()
    writeFileSync(join(folder, 'old photo.png'), await noisyPicture(8))
    const args = ['submit', '--model', 'flux-kontext-apps/restore-image', '--input', 'input_image=@old photo.png']
    const job = document<Job>(await run([...args, '--user', '42', '--wait', '--json'], folder))
    expect(job).toMatchObject({ status: 'succeeded', user: '42' })
    expect(String(job.input?.['input_image'])).toMatch(new RegExp(`^${service.url}/v1/uploads/upl_\\w+$`))

    const missing = await run(['submit', '--preset', 'story-page', '--input', 'prompt=@fox.png'], folder)
    expect(missing).toMatchObject({ exit: 2, stdout: '' })
    expect(missing.stderr).toContain('fox.png cannot be read: ENOENT')
    const text = await run(['submit', '--preset', 'story-page', '--input', 'prompt=@@fox', '--json'], folder)
    expect(document<Job>(text).input?.['prompt']).toBe('@fox')
  })

  test('--save writes the files under names of our own', async () => {
    const folder = tempDir()
    const model = [
      '--model',
      'black-forest-labs/flux-schnell',
      '--input',
      'num_outputs=2',
      '--input',
      'prompt=two foxes',
    ]
    const ran = await runAlone(['submit', ...model, '--save', 'out/pictures', '--json'], folder)
    const { id, saved } = document<Job & { saved: string[] }>(ran)
    expect(saved).toEqual([`out/pictures/${id}-1.webp`, `out/pictures/${id}-2.webp`])
    expect(readdirSync(join(folder, 'out/pictures')).sort()).toEqual([`${id}-1.webp`, `${id}-2.webp`])
    expect(
      readFileSync(join(folder, saved[0] ?? ''))
        .subarray(0, 4)
        .toString(),
    ).toBe('RIFF')
  })

  test('--save writes what is neither file nor text as JSON', async () => {
    const folder = tempDir()
    await service.simulator.faults({ predictions: { output: { shape: 'object', next: 1 } } })
    const model = ['--model', 'replicate/hello-world', '--input', 'text=Ada']
    const { id, saved } = document<Job & { saved: string[] }>(
      await run(['submit', ...model, '--save', 'out', '--json'], folder),
    )
    expect(saved).toEqual([`out/${id}.json`])
    expect(JSON.parse(readFileSync(join(folder, saved[0] ?? ''), 'utf8'))).toEqual({ text: 'hello Ada' })
  })

  test('ends with 1 when the job fails, and says why', async () => {
    const args = ['submit', '--preset', 'story-page', '--input', 'prompt=a fox', '--wait']
    await service.simulator.faults({ predictions: { fail: { next: 1, error: 'NSFW content detected' } } })
    const ran = await run(args)
    expect(ran).toMatchObject({ exit: 1, stdout: '' })
    expect(ran.stderr).toContain('NSFW content detected')
  })
})

describe('a batch', () => {
  test('of a file is made, shown to its end, and read again; a failed job makes it end with 1', async () => {
    const folder = tempDir()
    const items = ['one', 'two', 'three'].map((prompt) => `{"input":{"prompt":"${prompt}"}}\n`)
    writeFileSync(join(folder, 'items.jsonl'), `${items.join('\n')}\n`)
    await service.simulator.faults({ predictions: { fail: { next: 1, error: 'no inspiration' } } })
    const ran = await runAlone(['batch', 'items.jsonl', '--preset', 'story-page', '--metadata', 'set=1'], folder)
    expect(ran.exit).toBe(1)
    expect(ran.stderr).toMatch(/partial: 2 succeeded, 1 failed of 3, 0\.006 credits/)
    expect(ran.stdout.trimEnd().split('\n')).toHaveLength(3)

    const id = /bat_\w+/.exec(ran.stderr)?.[0] ?? ''
    const shown = document<Batch & { jobs: Job[] }>(await run(['get', id, '--json']))
    expect(shown).toMatchObject({ id, status: 'partial', metadata: { set: 1 }, jobs: [{}, {}, {}] })
    expect((await run(['get', id])).stdout).toContain('partial: 2 succeeded')
    const again = (await run(['retry', id])).stdout.trim()
    expect(await service.client.getBatch(again)).toMatchObject({ retry_of: id, counts: { total: 1 } })
    expect((await run(['watch', again])).exit).toBe(0)
  })

  test('prints its id with --no-wait, is watched as lines of JSON, and canceled', async () => {
    const folder = tempDir()
    writeFileSync(join(folder, 'items.jsonl'), `${JSON.stringify(THOUGHT)}\n${JSON.stringify(THOUGHT)}\n`)
    await neverEnding(1)
    const made = await run(
      ['batch', 'items.jsonl', '--no-wait', '--sequential', '--webhook', 'https://example.invalid/', '--json'],
      folder,
    )
    const { id, sequential, webhook } = document<Batch>(made)
    expect({ sequential, webhook }).toMatchObject({ sequential: true, webhook: { url: 'https://example.invalid/' } })
    // The fault is used up; else it would hit a job of another test.
    await waitFor('its first prediction', async () => (await service.client.getBatch(id)).counts.queued < 2)
    const watching = runAlone(['watch', id, '--json'])
    expect(document<Batch>(await run(['cancel', id, '--json']))).toMatchObject({ id, stopped: 'canceled' })
    const watched = await watching
    expect(watched.exit).toBe(1)
    expect(lines<Batch>(watched).at(-1)).toMatchObject({ id, status: 'canceled' })
  })

  test('with a wrong line names it', async () => {
    const folder = tempDir()
    writeFileSync(join(folder, 'items.jsonl'), '{"input":{"prompt":"fine"}}\n\n{"input":\n')
    expect(await run(['batch', 'items.jsonl', '--preset', 'story-page'], folder)).toMatchObject({
      exit: 2,
      stderr: expect.stringContaining('items.jsonl, line 3: ') as string,
    })
    writeFileSync(join(folder, 'items.jsonl'), '{"input":{"prompt":"fine"}}\n{"input":{}}\n')
    const refused = await run(['batch', 'items.jsonl', '--preset', 'story-page', '--json'], folder)
    expect(refused).toMatchObject({ exit: 4, stdout: '' })
    expect(JSON.parse(refused.stderr)).toMatchObject({
      error: { code: 'invalid_request', errors: [{ pointer: '/items/1/input/prompt' }] },
    })
  })
})

describe('a job that is there', () => {
  test('is shown, watched, and tried again', async () => {
    const { id } = await service.client.submit({ preset: 'story-page', input: { prompt: 'a fox' } })
    const watched = await run(['watch', id, '--json'])
    expect(watched.exit).toBe(0)
    const revs = lines<Job>(watched).map(({ rev }) => rev)
    expect(revs).toEqual(revs.toSorted((a, b) => a - b))
    expect(lines<Job>(watched).at(-1)).toMatchObject({ id, status: 'succeeded' })
    expect((await run(['get', id])).stdout).toMatch(/^status +succeeded$/m)
    const again = (await run(['retry', id])).stdout.trim()
    expect(await service.client.get(again)).toMatchObject({ retry_of: id })
    const model = ['--model', 'black-forest-labs/flux-schnell', '--input', 'megapixels="0.25"']
    const ran = document<Job>(await run(['submit', ...model, '--input', 'prompt=a fox', '--wait', '--json']))
    const pinned = (await run(['retry', ran.id, '--pinned'])).stdout.trim()
    expect(await service.client.get(pinned)).toMatchObject({
      retry_of: ran.id,
      input: { ...ran.input, seed: expect.any(Number) },
    })
    expect(await run(['retry', `bat_${'0'.repeat(26)}`, '--pinned'])).toMatchObject({ exit: 2 })
  })

  test('is found in the list by what is known of it, with its prompt', async () => {
    const about = ['--metadata', 'page=7', '--user', 'ada']
    const made = await run([
      'submit',
      '--webhook',
      'https://example.invalid/',
      '--preset',
      'story-page',
      '--input',
      'prompt=a fox on an island',
      ...about,
      '--wait',
    ])
    expect(made.exit).toBe(0)
    const found = await run(['list', ...about, '--status', 'succeeded', '--created-after', '2026-01-31'])
    expect(found.stdout).toMatch(
      /^ID +CREATED +STATUS +CREDITS +JOB\njob_\w+ +[\d: -]+Z +succeeded +0\.003 +a fox on an island\n$/,
    )
    const [job] = lines<Job>(await run(['list', ...about, '--json']))
    expect(job).toMatchObject({ user: 'ada', metadata: { page: 7 }, webhook: { url: 'https://example.invalid/' } })
    const prediction = ['--prediction-id', job?.prediction_id ?? '']
    expect(lines<Job>(await run(['list', ...prediction, '--json'])).map(({ id }) => id)).toEqual([job?.id])
    expect((await run(['list', '--metadata', 'page="7"', '--user', 'bob'])).stdout).toBe(
      'ID  CREATED  STATUS  CREDITS  JOB\n',
    )
    expect(lines(await run(['list', '--limit', '2', '--json']))).toHaveLength(2)
    expect((await run(['list', '--created-before', 'soon'])).exit).toBe(2)
  })

  test('shows its logs, and is deleted', async () => {
    const text = ['submit', '--model', 'google/gemini-3-pro', '--input', 'prompt=a word', '--wait', '--json']
    const { id } = document<Job>(await run(text))
    const { logs } = await service.client.logs(id)
    expect(await run(['logs', id])).toMatchObject({ exit: 0, stdout: logs === null ? '' : `${logs.trimEnd()}\n` })
    expect(document(await run(['logs', id, '--json']))).toEqual({ logs, truncated: false })
    expect(await run(['delete', id])).toMatchObject({ exit: 0, stdout: `${id}  deleted\n` })
    expect((await run(['get', id])).exit).toBe(4)
    expect((await run(['delete', 'bat_01JQ8ZK3V9C4T2M7X5R1B6N0PD'])).exit).toBe(2)
  })

  test('is canceled; watching it ends with 1', async () => {
    await neverEnding(1)
    const { id } = await service.client.submit(THOUGHT)
    const watching = runAlone(['watch', id])
    expect((await run(['cancel', id])).exit).toBe(0)
    const watched = await watching
    expect(watched).toMatchObject({ exit: 1, stderr: expect.stringContaining(`${id}  canceled\n`) as string })
    expect(watched.stderr).not.toContain('canceled: canceled')
  })

  test('continues after Ctrl-C, which says how to see it again', async () => {
    await neverEnding(1)
    const { id } = await service.client.submit(THOUGHT)
    const child = startGenqueue(['watch', id], { env: serviceEnv(service) })
    await child.waitForLine(new RegExp(id))
    child.signal('SIGINT')
    expect(await ended(child)).toMatchObject({
      exit: 130,
      stderr: expect.stringContaining(`genqueue watch ${id}`) as string,
    })
    expect((await service.client.get(id)).completed_at).toBeNull()
    await service.client.cancel(id)
  })
})

test('presets are listed, and one is shown with its input', async () => {
  const listed = await run(['presets'])
  expect(listed.stdout).toMatch(/^story-page +Story page +black-forest-labs\/flux-schnell +0\.003/m)
  expect(document<Preset[]>(await run(['presets', '--json'])).map(({ name }) => name)).toContain('lip-sync')
  expect(document<Preset>(await run(['presets', 'story-page']))).toMatchObject({
    input_schema: { required: ['prompt'] },
  })
})

test('upload prints the link of each file', async () => {
  const folder = tempDir()
  writeFileSync(join(folder, 'one.txt'), 'one')
  writeFileSync(join(folder, 'two.txt'), 'two')
  const { stdout, exit } = await run(['upload', 'one.txt', 'two.txt'], folder)
  expect([exit, stdout]).toEqual([0, expect.stringMatching(/^(?:http:\S+\/v1\/uploads\/upl_\w+\n){2}$/)])
  expect(await run(['upload', 'one.txt', 'three.txt'], folder)).toMatchObject({ exit: 2, stdout: '' })
})

test('health says what is wrong, and ends with 1 then', async () => {
  const well = await run(['health'])
  expect(well).toMatchObject({
    exit: 0,
    stdout: expect.stringMatching(/^No problems\.\njobs +\d+ succeeded/) as string,
  })
  expect(document(await run(['health', '--json']))).toMatchObject({ conditions: [] })
  const account = service.keys.account('default')
  await service.redis.hset(account, { pause_reason: 'account', paused_until: Date.now() + 3_600_000 })
  const ill = await run(['health'])
  await service.redis.hset(account, 'paused_until', 0)
  expect(ill).toMatchObject({ exit: 1, stdout: expect.stringMatching(/^PROBLEM {2}\S/) as string })
})

describe('exit codes', () => {
  test.each([
    ['a field without a value', ['submit', '--preset', 'story-page', '--input', 'prompt']],
    ['a number that is none', ['submit', '--preset', 'story-page', '--timeout', 'soon']],
    ['a share that is none', ['batch', 'x.jsonl', '--stop-on-failure-rate', '2']],
    ['a file that is not there', ['batch', 'nothing.jsonl']],
    ['an address that is none', ['presets', '--url', 'ftp://here']],
  ])('2: %s', async (_name, args) => {
    const error: unknown = await runProgram(args).catch((one: unknown) => one)
    expect(failureOf(error)).toMatchObject({ exit: 2, code: 'usage', message: expect.stringMatching(/./) as string })
  })

  test('2: a command or an option that is not known', async () => {
    const all = await Promise.all([[], ['dance'], ['submit', '--dance']].map((args) => run(args)))
    for (const { exit, stdout, stderr } of all) {
      expect({ exit, stdout }).toEqual({ exit: 2, stdout: '' })
      expect(stderr).toMatch(/genqueue|--dance/)
    }
  })

  test('2: no key', async () => {
    expect(await runGenqueue(['presets'], { env: { GENQUEUE_URL: service.url } })).toMatchObject({
      exit: 2,
      stderr: expect.stringMatching(/GENQUEUE_API_KEY.*DATA_DIR.*has no credentials\.json/) as string,
    })
  })

  test('3: no service is listening', async () => {
    const url = `http://127.0.0.1:${await freePort()}`
    const { exit, stderr } = await runGenqueue(['presets'], { env: serviceEnv({ url }) })
    expect(exit).toBe(3)
    expect(stderr).toContain(`${url} cannot be reached`)
    expect(stderr).toMatch(/ECONNREFUSED.*\)\. Check that the service is running.*--url/)
  })

  test('4: the service refuses', async () => {
    expect(await run(['get', 'job_00000000000000000000000000'])).toMatchObject({
      exit: 4,
      stderr: 'genqueue: The job does not exist.\n',
    })
    const stranger = await run(['presets', '--key', 'not-a-key-0123456789', '--json'])
    expect(stranger.exit).toBe(4)
    expect(JSON.parse(stranger.stderr)).toMatchObject({ error: { code: 'unauthenticated' } })
  })

  test('0: help, of the whole and of a command', async () => {
    const help = await run(['--help'])
    expect(help).toMatchObject({ exit: 0, stderr: '' })
    const names = [...help.stdout.matchAll(/^ {2}([a-z]+) .*\[/gm)].map(([, name]) => name ?? '')
    expect(names).toEqual(expect.arrayContaining(['submit', 'batch', 'presets', 'audit', 'keys', 'credits', 'ledger']))
    const [batch, audit] = await Promise.all(['batch', 'audit'].map((name) => run([name, '--help'])))
    expect(batch).toMatchObject({ exit: 0, stdout: expect.stringContaining('--stop-on-failure-rate') as string })
    expect(audit).toMatchObject({ exit: 0, stdout: expect.stringContaining('--repair') as string })
  })
})

test('on this machine the key of the data folder opens, elsewhere it does not', async () => {
  const seen: (string | undefined)[] = []
  const server = createServer((request, response) => {
    seen.push(request.headers.authorization)
    response.writeHead(200, { 'content-type': 'application/json' }).end('{"data":[],"next_cursor":null}')
  })
  const port = await freePort()
  await new Promise<void>((resolve) => server.listen(port, () => resolve()))
  const folder = tempDir()
  mkdirSync(join(folder, '.data'))
  const credentials = { apiKey: 'gq_dev_kept-in-the-folder', adminPassword: 'secret-password' }
  writeFileSync(join(folder, '.data', 'credentials.json'), JSON.stringify(credentials))
  const here = await runGenqueue(['presets', '--url', `http://localhost:${port}`], { cwd: folder })
  expect(here.exit).toBe(0)
  expect(seen).toEqual(['Bearer gq_dev_kept-in-the-folder'])
  const elsewhere = await runGenqueue(['presets', '--url', `http://genqueue.example:${port}`], { cwd: folder })
  expect(elsewhere.exit).toBe(2)
  server.close()
})
