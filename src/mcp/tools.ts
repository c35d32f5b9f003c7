import type { CallToolResult, McpServer, ServerContext, ToolAnnotations } from '@modelcontextprotocol/server'
import { z } from 'zod'
import { isFinal, newIdempotencyKey, type Client, type Job, type JsonObject } from '../client/client.ts'
import { isObject } from '../shared/values/json.ts'
import { showArtifact } from './artifact-content.ts'
import { refusal } from './refusals.ts'
import { accountOf, inputView, jobView, lineOf, presetLine, presetView } from './views.ts'

/** Limit of one `wait`, s: clients of MCP give up after a minute. */
const MAX_WAIT_S = 45

/** The field of the metadata that holds the label of an agent. */
const LABEL = 'label'

const id = z.string().describe('Id of a job: job_…')
const label = z
  .string()
  .min(1)
  .max(200)
  .describe('Your name for a piece of work, such as a task or a conversation; `list` finds its jobs by it.')
const metadata = z.record(z.string(), z.string())
// Clients that check schemas object to `additionalProperties: {}`.
const jsonObject = z
  .record(z.string(), z.unknown())
  .meta({ additionalProperties: true })
  .pipe(z.custom<JsonObject>(isObject))

const presetsInput = z.strictObject({
  name: z.string().optional().describe('Show only this preset, with the JSON Schema of its input.'),
})
const submitInput = z.strictObject({
  preset: z.string().optional().describe('Name of a preset. Give either this or `model`.'),
  model: z.string().optional().describe('owner/name of a model at Replicate, where the deployment allows models.'),
  input: jsonObject.describe('Input of the preset or model. Files are given as https links or data URIs.'),
  label: label.optional(),
  metadata: metadata.optional().describe('Your own data as texts, returned with the job; `list` finds jobs by it.'),
  idempotency_key: z
    .string()
    .optional()
    .describe(
      'Repeating a submission with the same key and content returns the same job instead of paying for another one. Derive it from your task, so that you know it after an interruption.',
    ),
})
const jobInput = z.strictObject({ id })
const waitInput = z.strictObject({
  id,
  seconds: z
    .int()
    .min(1)
    .max(MAX_WAIT_S)
    .default(MAX_WAIT_S)
    .describe('The longest wait of this call. If the job is not final by then, call again.'),
})
const listInput = z.strictObject({
  label: label.optional(),
  metadata: metadata.optional().describe('Only jobs whose metadata have these values.'),
  status: z.enum(['queued', 'starting', 'processing', 'succeeded', 'failed', 'canceled']).optional(),
  preset: z.string().optional(),
  limit: z.int().min(1).max(100).default(20),
  cursor: z.string().optional().describe('`next_cursor` of the page before.'),
})
const artifactInput = z.strictObject({
  id,
  artifact: z.string().optional().describe('Id of one artifact: art_… By default the first one of the job.'),
})

const READS: ToolAnnotations = { readOnlyHint: true, openWorldHint: false }
const CREATES: ToolAnnotations = { readOnlyHint: false, destructiveHint: false, openWorldHint: true }
const STOPS: ToolAnnotations = { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: true }

/** The same as text, for clients that read nothing else. */
const answer = (value: { [field: string]: unknown }): CallToolResult => ({
  content: [{ type: 'text', text: JSON.stringify(value) }],
  structuredContent: value,
})

/** Adds the tools to a server. They work through the API, with the rights of its key. */
export function addTools(server: McpServer, client: Client): void {
  const withAccount = async (value: { [field: string]: unknown }, signal: AbortSignal): Promise<CallToolResult> =>
    answer({ ...value, account: await accountOf(client, signal) })

  const shown = (job: Job, signal: AbortSignal, next: object = nextStep(job)): Promise<CallToolResult> =>
    withAccount({ ...jobView(job), ...next }, signal)

  const safely =
    <Input>(run: (input: Input, signal: AbortSignal) => Promise<CallToolResult>) =>
    async (input: Input, { mcpReq }: ServerContext): Promise<CallToolResult> => {
      try {
        return await run(input, mcpReq.signal)
      } catch (error) {
        return refusal(error)
      }
    }

  server.registerTool(
    'presets',
    {
      title: 'List presets with prices',
      description:
        'Lists the presets that can be run, with their prices in credits and usual duration, and the balance of the account.',
      inputSchema: presetsInput,
      annotations: READS,
    },
    safely(async ({ name }, signal) =>
      withAccount(
        name === undefined
          ? { presets: (await client.presets({ signal })).map(presetLine) }
          : { preset: presetView(await client.preset(name, { signal })) },
        signal,
      ),
    ),
  )

  server.registerTool(
    'submit',
    {
      title: 'Submit a job',
      description:
        'Submits a job and returns its id at once, with its price. The job costs credits. It runs to its end without you.',
      inputSchema: submitInput,
      annotations: CREATES,
    },
    safely(async ({ preset, model, input, label: named, metadata: given, idempotency_key }, signal) => {
      const request = { preset, model, input, metadata: labelled(named, given) }
      const job = await client.submit(request, { idempotencyKey: idempotency_key ?? newIdempotencyKey(), signal })
      return shown(job, signal)
    }),
  )

  server.registerTool(
    'get',
    {
      title: 'Read a job',
      description: 'Shows a job as it is now, with its input.',
      inputSchema: jobInput,
      annotations: READS,
    },
    safely(async (asked, signal) => {
      const job = await client.get(asked.id, { signal })
      return shown(job, signal, { input: inputView(job.input), ...nextStep(job) })
    }),
  )

  server.registerTool(
    'wait',
    {
      title: 'Wait for a job',
      description: `Waits until a job is final, at most ${MAX_WAIT_S} seconds. If it still runs then, the answer says so: call again with the same id.`,
      inputSchema: waitInput,
      annotations: READS,
    },
    safely(async ({ id: wanted, seconds }, signal) => shown(await waitFor(client, wanted, seconds, signal), signal)),
  )

  server.registerTool(
    'list',
    {
      title: 'List jobs',
      description: 'Lists the newest jobs. By `label` or `metadata` it finds the jobs of an earlier session.',
      inputSchema: listInput,
      annotations: READS,
    },
    safely(async ({ label: named, metadata: given, ...filters }, signal) => {
      const page = await client.list({ ...filters, metadata: labelled(named, given), signal })
      return withAccount({ jobs: page.data.map(lineOf), next_cursor: page.next_cursor }, signal)
    }),
  )

  server.registerTool(
    'cancel',
    {
      title: 'Cancel a job',
      description: 'Cancels a job that is not final. What Replicate has charged by then is not refunded.',
      inputSchema: jobInput,
      annotations: STOPS,
    },
    safely(async (asked, signal) => shown(await client.cancel(asked.id, { signal }), signal)),
  )

  server.registerTool(
    'artifact',
    {
      title: 'Show an output file',
      description:
        'Shows a picture that a job has made. A large picture is shown as its thumbnail; other files are returned as a link, which is valid for an hour.',
      inputSchema: artifactInput,
      annotations: READS,
    },
    safely(async ({ id: wanted, artifact }, signal) => {
      const job = await client.get(wanted, { signal })
      const account = await accountOf(client, signal)
      return showArtifact(client, job, { artifact, account, signal })
    }),
  )
}

const labelled = (named: string | undefined, given: z.output<typeof metadata> = {}) =>
  named === undefined ? given : { ...given, [LABEL]: named }

function nextStep({ id: job, status, artifacts }: Job): { next: string } | object {
  if (status === 'succeeded') return artifacts.length === 0 ? {} : { next: `Call artifact with id ${job} to see it.` }
  if (isFinal({ status })) return {}
  return { next: `Not final yet. Call wait with id ${job}; the job runs on meanwhile.` }
}

/** The job when it is final, or as it is after the time. */
async function waitFor(client: Client, wanted: string, seconds: number, signal: AbortSignal): Promise<Job> {
  try {
    return await client.wait(wanted, { timeout: seconds * 1000, signal })
  } catch (error) {
    if (error instanceof DOMException && error.name === 'TimeoutError') return client.get(wanted, { signal })
    throw error
  }
}
