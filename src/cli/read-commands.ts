import type { Command } from 'commander'
import type { LinkOptions } from '../client/client.ts'
import type { Finish } from './command.ts'
import { connect, withConnection, type ConnectionOptions } from './connection.ts'
import { EXIT, UsageError } from './failures.ts'
import { everyJob, followBatch, followJob, stillRunning, interruptible } from './follow.ts'
import { printBatch, printJob } from './print-job.ts'
import { printRecords } from './print-records.ts'
import { outcome, reportBatch, reportJob } from './submit-commands.ts'
import { note, printJson, printLine, printText } from './terminal.ts'
import { credits, span } from './format.ts'

/** `get`, `watch`, `logs`, `cancel`, `retry`, `delete` and `presets`: commands for existing objects, over the API. */

interface LookOptions extends ConnectionOptions {
  save?: string
  /** Show links that are valid as long as the files exist. */
  lastingLinks?: boolean
  /** Retry in the same version, with the same seed. */
  pinned?: boolean
}

const isBatch = (id: string): boolean => id.startsWith('bat_')
const ID = 'job_… or bat_…'

/** A command about one job or batch. */
function about(
  program: Command,
  name: string,
  [summary, description]: [string, string],
  finish: Finish,
  run: (id: string, options: LookOptions) => Promise<number>,
): Command {
  const command = program.command(name).argument('<id>', ID).summary(summary).description(description)
  return withConnection(command).action(async (id: string) => {
    finish(await run(id, command.opts<LookOptions>()))
  })
}

async function get(id: string, options: LookOptions): Promise<number> {
  const client = await connect(options)
  const links: LinkOptions = options.lastingLinks ? { links: 'lasting' } : {}
  if (isBatch(id)) {
    const [batch, jobs] = await Promise.all([client.getBatch(id), everyJob(client, id, links)])
    if (options.json) printJson({ ...batch, jobs })
    else printBatch(batch, jobs)
    return EXIT.ok
  }
  const job = await client.get(id, links)
  if (options.json) printJson(job)
  else printJob(job)
  return EXIT.ok
}

async function watch(id: string, options: LookOptions): Promise<number> {
  const client = await connect(options)
  const { json = false, save } = options
  const each = json ? printJson : () => undefined
  return interruptible(stillRunning(id), async (signal) => {
    const how = { screen: process.stderr, signal, json }
    if (isBatch(id)) {
      const batch = await followBatch(client, await client.getBatch(id), how, each)
      return json && save === undefined ? outcome(batch) : reportBatch(client, batch, { json, save })
    }
    const job = await followJob(client, await client.get(id), how, each)
    return json && save === undefined ? outcome(job) : reportJob(client, job, { json, save })
  })
}

async function cancel(id: string, options: LookOptions): Promise<number> {
  const client = await connect(options)
  const now = await (isBatch(id) ? client.cancelBatch(id) : client.cancel(id))
  if (options.json) printJson(now)
  else printLine(`${now.id}  ${now.status}`)
  return EXIT.ok
}

async function retry(id: string, options: LookOptions): Promise<number> {
  const client = await connect(options)
  const { pinned = false } = options
  if (pinned && isBatch(id)) throw new UsageError('--pinned is for a job, not for a batch')
  const made = await (isBatch(id) ? client.retryBatch(id) : client.retry(id, { pinned }))
  if (options.json) printJson(made)
  else printLine(made.id)
  return EXIT.ok
}

async function logs(id: string, options: LookOptions): Promise<number> {
  if (isBatch(id)) throw new UsageError('logs is for a job, not for a batch')
  const client = await connect(options)
  const found = await client.logs(id)
  if (options.json) printJson(found)
  else if (found.logs === null) note('No logs: the prediction does not exist yet, or Replicate has removed them.')
  else {
    if (found.truncated) note('The beginning is missing.')
    printText(found.logs.endsWith('\n') ? found.logs : `${found.logs}\n`)
  }
  return EXIT.ok
}

async function remove(id: string, options: LookOptions): Promise<number> {
  if (isBatch(id)) throw new UsageError('delete is for a job, not for a batch')
  const client = await connect(options)
  await client.delete(id)
  if (options.json) printJson({ id, deleted: true })
  else printLine(`${id}  deleted`)
  return EXIT.ok
}

export function addReadCommands(program: Command, finish: Finish): void {
  about(program, 'get', ['shows a job or batch', 'Shows a job or batch as it is now.'], finish, get).option(
    '--lasting-links',
    'show links that are valid as long as the files exist',
  )
  about(
    program,
    'watch',
    [
      'follows a job or batch to completion',
      'Follows a job or batch to completion. With --json, prints a line for each change.',
    ],
    finish,
    watch,
  ).option('--save <folder>', 'save the files into this folder')
  about(
    program,
    'cancel',
    ['cancels a job or batch', 'Cancels a job, or all unfinished jobs of a batch.'],
    finish,
    cancel,
  )
  about(
    program,
    'retry',
    [
      'retries a finished job or batch',
      'Submits a copy of a finished job, or a new batch of the jobs that did not succeed.',
    ],
    finish,
    retry,
  ).option('--pinned', 'of a job: run the same version with the same seed')
  about(
    program,
    'logs',
    ['shows the logs of a job', 'Shows the end of the logs of a job, as long as Replicate keeps them.'],
    finish,
    logs,
  )
  about(
    program,
    'delete',
    ['deletes a finished job', 'Deletes a finished job with its files before its retention ends.'],
    finish,
    remove,
  )
  const command = program
    .command('presets')
    .argument('[name]', 'show only this preset, with its input schema')
    .summary('lists the presets')
    .description('Lists the presets, or shows one with the schema of its input.')
  withConnection(command).action(async (name: string | undefined) => {
    finish(await presets(name, command.opts<LookOptions>()))
  })
}

async function presets(name: string | undefined, options: LookOptions): Promise<number> {
  const client = await connect(options)
  if (name !== undefined) {
    const preset = await client.preset(name)
    printText(`${JSON.stringify(preset, null, options.json ? undefined : 2)}\n`)
    return EXIT.ok
  }
  const all = await client.presets()
  if (options.json) printJson(all)
  else
    printRecords(all, {
      json: false,
      columns: {
        name: (preset) => preset.name,
        title: (preset) => preset.title,
        model: (preset) => preset.model ?? preset.deployment,
        credits: ({ estimate }) => (estimate === null ? null : credits(estimate)),
        'usual time': ({ run_time }) => run_time && span(run_time.p50),
      },
    })
  return EXIT.ok
}
