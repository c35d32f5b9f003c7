import { type z } from 'zod'
import { malformed, tooLarge } from '../http/problem.ts'
import type { Reply } from '../http/reply.ts'
import type { Handler, SimulatorRequest } from '../http/router.ts'

/** Bodies of the simulator's own routes. */

const BODY_LIMIT = 100_000_000

export function withJson(handler: (body: unknown) => Reply | Promise<Reply>): Handler {
  return async (request: SimulatorRequest) => {
    const body = await request.readBody(BODY_LIMIT)
    if (body === 'too large') return tooLarge()
    try {
      return await handler(JSON.parse(body.toString('utf8')))
    } catch (error) {
      if (error instanceof SyntaxError) return malformed('The request body is not valid JSON')
      throw error
    }
  }
}

/** What is wrong with a body, for a 422. */
export const fieldsOf = (error: z.ZodError | undefined) =>
  (error?.issues ?? []).map((issue) => ({
    field: [...issue.path.map(String), ...(issue.code === 'unrecognized_keys' ? issue.keys : [])].join('.'),
    description: issue.message,
  }))
