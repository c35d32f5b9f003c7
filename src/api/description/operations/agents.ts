import { z } from 'zod'
import { jsonObject } from '../common.ts'
import { POSTED, type Operations } from './operation.ts'

const messageId = z.union([z.string(), z.number()])
const version = z.literal('2.0')

/** Which messages there are is the matter of the protocol. */
const message = z
  .looseObject({
    jsonrpc: version,
    method: z.string(),
    id: messageId.optional().describe('Absent in a notification, which gets no answer.'),
    params: jsonObject.optional(),
  })
  .meta({ description: 'A request or notification of JSON-RPC 2.0.' })

const answered = z
  .looseObject({
    jsonrpc: version,
    id: messageId.nullable(),
    result: jsonObject
      .exactOptional()
      .describe('Of a tool: `content`, `structuredContent`, and `isError` if the tool failed.'),
    error: z
      .looseObject({ code: z.int(), message: z.string() })
      .exactOptional()
      .describe('An error of the protocol, such as an unknown tool.'),
  })
  .meta({ description: 'A response of JSON-RPC 2.0.' })

const REFUSED = 'An error of the protocol: '

export const agentOperations = {
  sendMcpMessage: {
    method: 'post',
    path: '/mcp',
    tag: 'Agents',
    summary: 'Send a message of MCP',
    description:
      'The Model Context Protocol by streamable HTTP, without sessions: each message is one request and counts as one. The tools are `presets`, `submit`, `get`, `wait`, `list`, `cancel` and `artifact` (docs/guides/agents.md). It needs an API key with the scope `jobs:read`; each tool also needs the scope of its route. A session is not accepted, nor a page of another origin. Limited to 4 MiB.',
    access: 'key',
    headers: z.object({
      Accept: z
        .string()
        .optional()
        .meta({ description: 'Must contain both types.', examples: ['application/json, text/event-stream'] }),
      'MCP-Protocol-Version': z.string().optional().describe('The revision of the protocol, after the first message.'),
    }),
    body: {
      required: true,
      schema: message,
      example: { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'presets', arguments: {} } },
    },
    answers: {
      200: { description: 'The result, or an error of a tool or of the protocol.', schema: answered },
      202: { description: 'The notification was received.', schema: null },
      400: { description: `${REFUSED}an invalid message, or an unknown revision.`, schema: answered },
      404: { description: `${REFUSED}an unknown method.`, schema: answered },
      406: { description: `${REFUSED}\`Accept\` does not contain both types.`, schema: answered },
    },
    errors: [...POSTED],
  },
} satisfies Operations
