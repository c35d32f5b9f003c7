import { InvalidArgumentError, Option, type Command } from 'commander'
import type { ListOptions } from '../client/client.ts'
import type { Job, JobStatus } from '../client/types.ts'
import type { Finish } from './command.ts'
import { connect, withConnection, type ConnectionOptions } from './connection.ts'
import { EXIT } from './failures.ts'
import { credits, labelOf, stateOf } from './format.ts'
import { printRecords } from './print-records.ts'
import { readPairs } from './read-input.ts'
import { collect, whole } from './option-values.ts'

/** `list`: jobs by their properties, newest first. */

const STATUSES: JobStatus[] = ['queued', 'starting', 'processing', 'succeeded', 'failed', 'canceled']
const PAGE = 100

interface ListCommandOptions extends ConnectionOptions {
  status?: JobStatus
  preset?: string
  batch?: string
  user?: string
  metadata?: string[]
  predictionId?: string
  createdAfter?: string
  createdBefore?: string
  limit: number
}

/** Text, number or boolean: what a list can be searched for. */
function readMetadata(pairs: string[] | undefined): NonNullable<ListOptions['metadata']> {
  return Object.fromEntries(
    Object.entries(readPairs('metadata', pairs)).map(([field, value]) => [
      field,
      typeof value === 'number' || typeof value === 'boolean' || typeof value === 'string'
        ? value
        : JSON.stringify(value),
    ]),
  )
}

/** A day means its beginning in UTC. */
export function time(text: string): string {
  const at = new Date(text)
  if (Number.isNaN(at.getTime())) throw new InvalidArgumentError('Expected a day or a time, such as 2026-01-31.')
  return at.toISOString()
}

export function addList(program: Command, finish: Finish): void {
  const command = program
    .command('list')
    .summary('lists jobs')
    .description('Lists jobs, newest first. With --json, prints a line for each.')
    .addOption(new Option('--status <status>', 'with this status').choices(STATUSES))
    .option('--preset <name>', 'of this preset')
    .option('--batch <id>', 'of this batch')
    .option('--user <user>', 'of this user')
    .option('--metadata <field=value>', 'with this metadata; repeatable', collect)
    .option('--prediction-id <id>', 'the one with this prediction of Replicate')
    .option('--created-after <time>', 'created at this time or later', time)
    .option('--created-before <time>', 'created earlier', time)
    .option('--limit <number>', 'the newest of them', whole('limit'), 20)
  withConnection(command).action(async () => {
    finish(await list(command.opts<ListCommandOptions>()))
  })
}

async function list({ metadata, limit, json = false, ...options }: ListCommandOptions): Promise<number> {
  const client = await connect(options)
  const { status, preset, batch, user, predictionId, createdAfter, createdBefore } = options
  const filters = { status, preset, batch, user, predictionId, createdAfter, createdBefore }
  const jobs: Job[] = []
  if (limit > 0)
    for await (const job of client.list({
      ...filters,
      metadata: readMetadata(metadata),
      limit: Math.min(limit, PAGE),
    })) {
      jobs.push(job)
      if (jobs.length === limit) break
    }
  printRecords(jobs, {
    json,
    columns: {
      id: (job) => job.id,
      created: (job) => job.created_at.replace('T', ' ').replace(/\.\d+Z$/, 'Z'),
      status: stateOf,
      credits: ({ cost }) => (cost === null ? null : credits(cost.captured ?? cost.held)),
      job: labelOf,
    },
  })
  return EXIT.ok
}
