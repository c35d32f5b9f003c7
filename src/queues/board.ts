import { createBullBoard } from '@bull-board/api'
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import type { AppViewRoute } from '@bull-board/api/typings/app'
import { ExpressAdapter } from '@bull-board/express'
import type { NextFunction, Request, Response } from 'express'
import { forEachQueue, QUEUES } from './contracts.ts'
import type { Queues } from './producer.ts'

/** Fields whose text may quote customer input or details of the host. */
const HIDDEN = new Set(['failedReason', 'stacktrace', 'logs', 'returnValue', 'returnvalue', 'progress'])

/** Job data holds ids only; this removes errors and other fields that could quote a prompt from every response of the board. */
function redact(value: unknown, depth = 0): unknown {
  if (depth > 20) return '[redacted]'
  if (Array.isArray(value)) return value.map((item) => redact(item, depth + 1))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key,
      HIDDEN.has(key) && item !== null && item !== undefined ? emptied(item) : redact(item, depth + 1),
    ]),
  )
}

const emptied = (value: unknown): unknown =>
  Array.isArray(value) ? [] : typeof value === 'string' ? '[redacted]' : typeof value === 'number' ? 0 : null

const SHOWN_FIELDS = new Set(['v', 'job', 'attempt', 'effect'])

const visibleData = (data: unknown): unknown =>
  typeof data === 'object' && data !== null
    ? Object.fromEntries(Object.entries(data).map(([key, item]) => [key, SHOWN_FIELDS.has(key) ? item : '[redacted]']))
    : '[redacted]'

/** Bull Board's page without the fonts from other hosts; it falls back to system fonts. */
class OwnPageAdapter extends ExpressAdapter {
  override setEntryRoute({ method, route, handler }: AppViewRoute): this {
    this.app[method](route, (_request: Request, response: Response, next: NextFunction) => {
      const { name, params } = handler({ basePath: this.basePath, uiConfig: this.uiConfig })
      response.render(name, params, (error: Error | null, html: string) => {
        if (error) next(error)
        else response.send(html.replaceAll(/<link\b[^>]*\bhref="https?:[^>]*>/g, ''))
      })
    })
    return this
  }
}

/** Bull Board as an Express router for `basePath`: read-only, redacted. The caller controls access. */
export function createBoard(queues: Queues, basePath: string) {
  const serverAdapter = new OwnPageAdapter()
  serverAdapter.setBasePath(basePath)
  const adapters = forEachQueue((name) => {
    const adapter = new BullMQAdapter(queues[name], {
      readOnlyMode: true,
      allowRetries: false,
      description: QUEUES[name].description,
    })
    adapter.setFormatter('data', visibleData)
    return adapter
  })
  createBullBoard({
    queues: Object.values(adapters),
    serverAdapter,
    options: {
      uiConfig: {
        boardTitle: 'genqueue',
        hideRedisDetails: true,
        showWorkers: false,
        hideDocsLink: true,
        pollingInterval: { showSetting: true },
        miscLinks: [{ text: 'Studio', url: '/' }],
      },
      handlerHooks: {
        // The body keeps its shape; only texts are emptied.
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion
        after: (_context, result) => ({ ...result, body: redact(result.body) as typeof result.body }),
      },
    },
  })
  const router = serverAdapter.getRouter()
  router.disable('x-powered-by')
  return router
}
