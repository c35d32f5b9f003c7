import { ERRORS, type ErrorCode } from '../../shared/errors/service-error.ts'
import { append } from '../../shared/values/append.ts'
import { agentOperations } from './operations/agents.ts'
import { batchOperations } from './operations/batches.ts'
import { budgetAdminOperations, budgetOperations } from './operations/budgets.ts'
import { catalogueOperations } from './operations/catalogue.ts'
import { creditAdminOperations, creditOperations } from './operations/credits.ts'
import { fileOperations } from './operations/files.ts'
import { jobOperations } from './operations/jobs.ts'
import type { Access, Answer, Operation, Operations } from './operations/operation.ts'
import { limitOperations } from './operations/limits.ts'
import { notificationOperations } from './operations/notifications.ts'
import { serviceOperations } from './operations/service.ts'
import { sessionOperations, tenantOperations, webhookSecretOperations } from './operations/tenants.ts'
import { problem } from './problem.ts'
import { namedIn } from './references.ts'
import { samplesOf } from './samples.ts'
import { fromZod, type JsonSchema, type Slots } from './from-zod.ts'

/** The document of the API (OpenAPI 3.1), made from its schemas and operations. */

export const OPERATIONS: Operations = {
  ...jobOperations,
  ...fileOperations,
  ...batchOperations,
  ...catalogueOperations,
  ...creditOperations,
  ...budgetOperations,
  ...sessionOperations,
  ...webhookSecretOperations,
  ...notificationOperations,
  ...tenantOperations,
  ...creditAdminOperations,
  ...budgetAdminOperations,
  ...limitOperations,
  ...serviceOperations,
  ...agentOperations,
}

const TAGS = {
  Jobs: 'Submit, read, await, follow, cancel and retry jobs.',
  Files: 'Upload files for inputs.',
  Batches: 'Groups of jobs that are submitted and counted together.',
  Events: 'Server-sent events that report changes immediately, for pages and back ends.',
  Results: 'Stored output files.',
  Presets: 'Named recipes for jobs.',
  Models: 'Input schemas of models.',
  Agents: 'The same for agents, by the Model Context Protocol.',
  Credits:
    'Account, ledger and spending of a tenant. Amounts are whole micro-credits; one credit is 1,000,000 of them.',
  Session: 'Browser sign-in without storing a key.',
  Webhooks: 'The default secret, which signs own webhooks of jobs and batches.',
  Notifications:
    'Endpoints, to which events of the tenant are sent, and the log of what was sent. Requires the scope `webhooks`.',
  Administration: 'Tenants and their keys, limits and pauses. Requires the scope `admin`.',
  Replicate: 'The webhook receiver that Replicate calls.',
  Operation: 'Health, metrics and this description. Only `/v1/health` requires credentials.',
}

const INFO = {
  title: 'genqueue',
  summary: 'A durable job queue between your product and Replicate.',
  description:
    'Submit a job, get its id at once, and read its result later: by polling, by long-polling, or from an event stream. Bodies are JSON with snake_case names. Times are RFC 3339 in UTC with milliseconds, durations are in seconds, and locations and artifact links are paths on this service. Fields and enum values may be added; none are renamed or removed.',
  license: { name: 'MIT', identifier: 'MIT' },
}

const SECURITY_SCHEMES = {
  key: {
    type: 'http',
    scheme: 'bearer',
    description: 'An API key of a tenant, `gq_...`, or for one job or batch a job token, `gqt_...`.',
  },
  session: {
    type: 'apiKey',
    in: 'cookie',
    name: 'gq_session',
    description: 'Session cookie for pages of this origin, set by `POST /v1/session`.',
  },
}

/** The parts of the document that others read here. */
export interface ApiDocument {
  paths: Record<string, Record<string, { requestBody?: unknown }>>
  components: { schemas: Converted; [part: string]: object }
  [part: string]: unknown
}

/** Names of the schemas of an operation while they are converted. */
const slot = (id: string, part: string): string => `${id} ${part}`

/** `version`: of the service. */
export function makeDocument(version: string): ApiDocument {
  const asked: Slots = {}
  const answered: Slots = { problem }
  for (const [id, { params, query, headers, body, answers }] of Object.entries(OPERATIONS)) {
    for (const [part, schema] of Object.entries({ params, query, headers, body: body?.schema }))
      if (schema) asked[slot(id, part)] = schema
    for (const [status, { schema, item, headers: sent }] of Object.entries(answers))
      for (const [part, one] of Object.entries({ body: schema, item, headers: sent }))
        if (one) answered[slot(id, `${status} ${part}`)] = one
  }
  const requests = fromZod(asked, 'input')
  const responses = fromZod(answered, 'output')
  const paths: ApiDocument['paths'] = {}
  for (const [id, operation] of Object.entries(OPERATIONS)) {
    const described = describe(id, operation, requests.slots, responses.slots)
    paths[operation.path] = { ...paths[operation.path], [operation.method]: described }
  }
  return {
    openapi: '3.1.0',
    info: { ...INFO, version },
    servers: [{ url: '/', description: 'This service.' }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
    security: [{ key: [] }, { session: [] }],
    paths,
    components: {
      securitySchemes: SECURITY_SCHEMES,
      responses: {
        Problem: {
          description: 'An error with a stable code (docs/errors.md).',
          headers: {
            'Retry-After': {
              description: 'Seconds after which a retry may succeed.',
              schema: { type: 'integer' },
            },
          },
          content: { 'application/problem+json': { schema: PROBLEM } },
        },
      },
      schemas: inOrder(paths, merged(requests.components, responses.components)),
    },
  }
}

const PROBLEM = { $ref: '#/components/schemas/Problem' }

/** Credentials of an operation, where they are not the usual ones. */
const SECURITY: Record<Access, object[]> = { open: [], link: [{}, { key: [] }, { session: [] }], key: [{ key: [] }] }

type Converted = Readonly<Record<string, JsonSchema>>

function describe(id: string, operation: Operation, requests: Converted, responses: Converted) {
  const { tag, summary, description, access, body, answers, errors } = operation
  const samples = samplesOf(id, operation)
  const problems = problemsOf(errors)
  const parameters = [
    ...parametersOf(requests[slot(id, 'params')], 'path'),
    ...parametersOf(requests[slot(id, 'query')], 'query'),
    ...parametersOf(requests[slot(id, 'headers')], 'header'),
  ]
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(description === undefined ? {} : { description }),
    ...(access === undefined ? {} : { security: SECURITY[access] }),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined
      ? {}
      : {
          requestBody: {
            required: body.required,
            ...(body.description === undefined ? {} : { description: body.description }),
            content: {
              [body.media ?? 'application/json']: {
                schema: requests[slot(id, 'body')],
                ...(body.example === undefined ? {} : { example: body.example }),
              },
            },
          },
        }),
    responses: {
      ...problems,
      ...Object.fromEntries(
        Object.entries(answers).map(([status, answer]) => [
          status,
          response(answer, (part) => responses[slot(id, `${status} ${part}`)], problems[status]),
        ]),
      ),
    },
    ...(samples.length === 0 ? {} : { 'x-codeSamples': samples }),
  }
}

function parametersOf(schema: JsonSchema | undefined, place: 'path' | 'query' | 'header'): object[] {
  return Object.entries(schema?.properties ?? {}).map(([name, { description, ...rest }]) => ({
    name,
    in: place,
    ...(place === 'path' ? { required: true } : {}),
    ...(description === undefined ? {} : { description }),
    schema: rest,
  }))
}

/** What a status means; `or`: the errors that have it too. */
function response(
  { description, schema, media, headers }: Answer,
  converted: (part: 'body' | 'item' | 'headers') => JsonSchema | undefined,
  or?: { description: string },
): object {
  const item = converted('item')
  const sent = Object.entries(converted('headers')?.properties ?? {}).map(([name, { description: words, ...rest }]) => [
    name,
    { ...(words === undefined ? {} : { description: words }), schema: rest },
  ])
  return {
    description: or === undefined ? description : `${description} Or: ${or.description}`,
    ...(headers === undefined ? {} : { headers: Object.fromEntries(sent) }),
    ...(schema === null && media === undefined
      ? {}
      : {
          content: {
            [media ?? 'application/json']: {
              ...(schema === null ? {} : { schema: converted('body') }),
              // OpenAPI 3.2 calls the schema of one line or event `itemSchema`.
              ...(item ? { 'x-itemSchema': item } : {}),
            },
            ...(or === undefined ? {} : { 'application/problem+json': { schema: PROBLEM } }),
          },
        }),
  }
}

/** Errors by status, each with its codes. */
function problemsOf(errors: readonly ErrorCode[]): Record<string, { $ref: string; description: string }> {
  const codes = new Map<number, string[]>()
  for (const [code, { status }] of Object.entries(ERRORS))
    if (errors.some((one) => one === code)) append(codes, status, `\`${code}\``)
  return Object.fromEntries(
    [...codes].map(([status, words]) => [
      status,
      { $ref: '#/components/responses/Problem', description: words.join(', ') },
    ]),
  )
}

/** Components of requests and responses. Throws when a name means different things in the two. */
function merged(requests: Converted, responses: Converted): Converted {
  for (const [name, schema] of Object.entries(responses)) {
    const other = requests[name]
    if (other && JSON.stringify({ ...other, additionalProperties: undefined }) !== JSON.stringify(schema))
      throw new Error(`${name} is different in requests and in responses: give it two ids.`)
  }
  return { ...responses, ...requests }
}

/** Components in the order in which a reader meets them. */
function inOrder(paths: object, schemas: Converted): Converted {
  const met = [...namedIn(paths, schemas)].map((name) => [name, schemas[name]])
  return { ...Object.fromEntries(met), ...schemas }
}
