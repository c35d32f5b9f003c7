import type { Command } from 'commander'
import type { Client } from '../client/client.ts'
import type { Batch, Explanation, Job } from '../client/types.ts'
import type { Finish } from './command.ts'
import { connect, withConnection, type ConnectionOptions } from './connection.ts'
import { EXIT, UsageError } from './failures.ts'
import { everyJob, followBatch, followJob, stillRunning, interruptible } from './follow.ts'
import { batchLine, secondsBetween, span } from './format.ts'
import { endOf, jobLine, printExplanation, printResult, withSaved } from './print-job.ts'
import { readInput, readItems, readObject, readPairs } from './read-input.ts'
import { collect, whole } from './option-values.ts'
import { saveFiles } from './save-files.ts'
import { note, printJson, printLine } from './terminal.ts'

/** `submit` and `batch`: commands that create jobs, over the API. */

interface TargetOptions extends ConnectionOptions {
  preset?: string
  model?: string
  modelVersion?: string
  deployment?: string
  metadata?: string[]
  webhook?: string
  idempotencyKey?: string
  save?: string
  explain?: boolean
}

interface SubmitCommandOptions extends TargetOptions {
  input?: string[]
  inputFile?: string
  user?: string
  timeout?: number
  startWithin?: number
  wait?: boolean
}

interface BatchCommandOptions extends TargetOptions {
  sequential?: boolean
  stopOnFailureRate?: number
  maxSpend?: number
  wait: boolean
}

function share(text: string): number {
  const value = Number(text)
  if (!(value > 0 && value <= 1))
    throw new UsageError(`--stop-on-failure-rate ${text}: expected a number above 0, up to 1`)
  return value
}

const webhookOf = (url: string | undefined): { url: string } | undefined => (url === undefined ? undefined : { url })

export const outcome = ({ status }: Pick<Job | Batch, 'status'>): number =>
  status === 'succeeded' ? EXIT.ok : EXIT.failed

const withTarget = (command: Command): Command =>
  command
    .option('--preset <name>', 'use this preset')
    .option('--model <owner/name>', 'use this model; one that is not official runs in its newest version')
    .option('--model-version <version>', 'use this version: 64 hex digits, or owner/name:<64 hex digits>')
    .option('--deployment <owner/name>', 'use this deployment')
    .option('--metadata <field=value>', 'metadata to store with the job; repeatable', collect)
    .option('--webhook <url>', 'send a signed webhook at the end; the webhook secret of the tenant signs it')
    .option('--idempotency-key <key>', 'a repeated key returns the first submission')
    .option('--save <folder>', 'save the files into this folder')
    .option('--explain', 'say what it would cost, which limits apply and when it would start; submit nothing')

const targetOf = ({ preset, model, modelVersion, deployment }: TargetOptions) => ({
  preset,
  model,
  version: modelVersion,
  deployment,
})

const submissionOf = ({ idempotencyKey }: TargetOptions) => (idempotencyKey === undefined ? {} : { idempotencyKey })

export function addSubmit(program: Command, finish: Finish): void {
  const command = program
    .command('submit')
    .summary('submits a job')
    .description('Submits a job. Prints its id, or its result with --wait.')
    .option('--input <field=value>', 'a field of the input: JSON, @file, or else a text; repeatable', collect)
    .option('--input-file <file>', 'the input as a JSON object; - is the standard input')
    .option('--user <user>', 'the user of your product for whom the job is made')
    .option('--timeout <seconds>', 'maximum duration of the prediction', whole('timeout'))
    .option('--start-within <seconds>', 'maximum wait in the queue', whole('start-within'))
    .option('--wait', 'wait for completion; --save waits too')
  withConnection(withTarget(command)).action(async () => {
    const options = command.opts<SubmitCommandOptions>()
    finish(await submit(options))
  })
}

async function submit(options: SubmitCommandOptions): Promise<number> {
  const { inputFile, input, metadata, webhook, user, timeout, startWithin, wait, save, json = false } = options
  const request = {
    ...targetOf(options),
    input: { ...(inputFile === undefined ? {} : await readObject(inputFile)), ...(await readInput(input)) },
    metadata: readPairs('metadata', metadata),
    webhook: webhookOf(webhook),
    user,
    timeout,
    start_within: startWithin,
  }
  const client = await connect(options)
  if (options.explain) return explained(await client.explain(request), json)
  const job = await client.submit(request, submissionOf(options))
  if (!wait && save === undefined) {
    if (json) printJson(job)
    else printLine(job.id)
    return EXIT.ok
  }
  const last = await interruptible(stillRunning(job.id), (signal) =>
    followJob(client, job, { screen: process.stderr, signal, json }),
  )
  return reportJob(client, last, { json, save })
}

function explained(explanation: Explanation, json: boolean): number {
  if (json) printJson(explanation)
  else printExplanation(explanation)
  return EXIT.ok
}

/** Prints the completion of a job: its result on stdout, a summary on stderr. Returns the exit code. */
export async function reportJob(
  client: Client,
  job: Job,
  { json, save }: { json: boolean; save: string | undefined },
): Promise<number> {
  const saved = save === undefined ? null : await saveFiles(client, job, save, job.id)
  if (json) printJson(withSaved(job, saved))
  else {
    note(endOf(job))
    if (saved === null) printResult(job)
    else for (const file of saved) printLine(file)
  }
  return outcome(job)
}

export function addBatch(program: Command, finish: Finish): void {
  const command = program
    .command('batch')
    .argument('<file>', 'JSON Lines, one job per line: {"input": {…}, …}; - is the standard input')
    .summary('submits many jobs together')
    .description('Submits all jobs of a file, or none of them, and follows them to completion.')
    .option('--sequential', 'run one job after the other')
    .option('--stop-on-failure-rate <share>', 'start no more jobs above this share of failures, 0 to 1', share)
    .option('--max-spend <micro-credits>', 'start no more jobs above this cost', whole('max-spend'))
    .option('--no-wait', 'print the id of the batch and exit')
  withConnection(withTarget(command)).action(async (file: string) => {
    const options = command.opts<BatchCommandOptions>()
    finish(await batch(file, options))
  })
}

async function batch(file: string, options: BatchCommandOptions): Promise<number> {
  const { metadata, webhook, sequential, stopOnFailureRate, maxSpend, save, wait, json = false } = options
  const items = await readItems(file)
  const client = await connect(options)
  const request = {
    defaults: targetOf(options),
    items,
    sequential,
    stop_on_failure_rate: stopOnFailureRate,
    max_spend: maxSpend,
    metadata: readPairs('metadata', metadata),
    webhook: webhookOf(webhook),
  }
  if (options.explain) return explained(await client.explainBatch(request), json)
  const made = await client.batch(request, submissionOf(options))
  if (!wait) {
    if (json) printJson(made)
    else printLine(made.id)
    return EXIT.ok
  }
  const last = await interruptible(stillRunning(made.id), (signal) =>
    followBatch(client, made, { screen: process.stderr, signal, json }),
  )
  return reportBatch(client, last, { json, save })
}

/** Prints the completion of a batch: a line per job on stdout, or one document with all of them. Returns the exit code. */
export async function reportBatch(
  client: Client,
  batch: Batch,
  { json, save }: { json: boolean; save: string | undefined },
): Promise<number> {
  const digits = String(batch.counts.total).length
  const results: object[] = []
  for (const job of await everyJob(client, batch.id)) {
    const stem = `${batch.id}-${String((job.position ?? 0) + 1).padStart(digits, '0')}`
    const saved = save === undefined ? null : await saveFiles(client, job, save, stem)
    if (json) results.push(withSaved(job, saved))
    else printLine([jobLine(job), ...(saved ?? [])].join('  '))
  }
  if (json) printJson({ ...batch, jobs: results })
  else note(`${batch.id} ${batchLine(batch)}, ${span(secondsBetween(batch.created_at, batch.completed_at))}`)
  return outcome(batch)
}
