import { malformed, tooLarge } from '../http/problem.ts'
import type { Reply } from '../http/reply.ts'
import type { SimulatorRequest } from '../http/router.ts'

/** The JSON body of a request to the API, or the answer that says what is wrong with it. */
export async function readJson(request: SimulatorRequest, limit: number): Promise<{ value: unknown } | Reply> {
  const body = await request.readBody(limit)
  if (body === 'too large') return tooLarge()
  try {
    return { value: JSON.parse(body.toString('utf8')) as unknown }
  } catch {
    return malformed('The request body is not valid JSON')
  }
}
