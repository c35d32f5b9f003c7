import { z } from 'zod'

/** The parts of an OpenAPI document that the page shows. Other parts are ignored. */

const schema = z.looseObject({
  $ref: z.string().optional(),
  type: z.union([z.string(), z.array(z.string())]).optional(),
  description: z.string().optional(),
  enum: z.array(z.unknown()).optional(),
  default: z.unknown().optional(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
  pattern: z.string().optional(),
  required: z.array(z.string()).optional(),
  get properties() {
    return z.record(z.string(), schema).optional()
  },
  get items() {
    return schema.optional()
  },
  get oneOf() {
    return z.array(schema).optional()
  },
  get anyOf() {
    return z.array(schema).optional()
  },
})

const content = z.record(z.string(), z.looseObject({ schema: schema.optional() })).optional()

const parameter = z.looseObject({
  name: z.string(),
  in: z.enum(['path', 'query', 'header', 'cookie']),
  required: z.boolean().default(false),
  description: z.string().default(''),
  schema,
})

const response = z.union([
  z.object({ $ref: z.string(), description: z.string().default('') }),
  z.looseObject({ description: z.string(), content: content.optional() }),
])

const operation = z.looseObject({
  operationId: z.string(),
  tags: z.array(z.string()).min(1),
  summary: z.string(),
  description: z.string().default(''),
  security: z.array(z.record(z.string(), z.array(z.string()))).optional(),
  parameters: z.array(parameter).default([]),
  requestBody: z.looseObject({ description: z.string().default(''), content }).optional(),
  responses: z.record(z.string(), response),
})

export const METHODS = ['post', 'get', 'patch', 'delete'] as const

export const apiDescriptionSchema = z.looseObject({
  openapi: z.string().startsWith('3.1'),
  info: z.looseObject({ title: z.string(), version: z.string(), summary: z.string(), description: z.string() }),
  tags: z.array(z.object({ name: z.string(), description: z.string() })),
  paths: z.record(
    z.string(),
    z.strictObject({ get: operation, post: operation, patch: operation, delete: operation }).partial(),
  ),
  components: z.looseObject({
    responses: z.record(z.string(), response),
    schemas: z.record(z.string(), schema),
  }),
})

export type ApiDescription = z.output<typeof apiDescriptionSchema>
export type Operation = z.output<typeof operation>
export type Schema = z.output<typeof schema>
