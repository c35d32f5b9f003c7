import type { ChangeList, LimitList, ManualPause, PauseList, ScopeLimits } from '../description/limits.ts'
import { ServiceError } from '../../shared/errors/service-error.ts'
import type { LimitStore } from '../../shared/limits/ports.ts'
import { limitChangeSchema, pauseRequestSchema, resumeSchema } from '../../shared/limits/rules/limit-requests.ts'
import { changeView, limitsView, pauseView } from '../../shared/limits/rules/limit-view.ts'
import type { ApiResponse, OwnedRequest, Route } from '../http.ts'
import { fieldsOf, parseBody, parseWith, queryObject } from '../schemas.ts'

const CHANGES_SHOWN = 100

/** Who makes a change. */
const authorOf = ({ principal: { keyId } }: OwnedRequest): string => keyId ?? 'development key'

/** Limits and pauses, for operators. */
export function limitRoutes(store: LimitStore): Route[] {
  async function list(): Promise<ApiResponse> {
    const body: LimitList = { data: (await store.limits()).map(limitsView) }
    return { status: 200, body }
  }

  async function change(request: OwnedRequest): Promise<ApiResponse> {
    const body: ScopeLimits = limitsView(
      await store.change(parseBody(limitChangeSchema, request.body), authorOf(request)),
    )
    return { status: 200, body }
  }

  async function pauses(): Promise<ApiResponse> {
    const body: PauseList = { data: (await store.pauses()).map(pauseView) }
    return { status: 200, body }
  }

  async function pause(request: OwnedRequest): Promise<ApiResponse> {
    const { scope, reason } = parseBody(pauseRequestSchema, request.body)
    const body: ManualPause = pauseView(await store.pause(scope, reason, authorOf(request)))
    return { status: 200, body }
  }

  async function resume(request: OwnedRequest): Promise<ApiResponse> {
    const { scope } = parseWith(resumeSchema, queryObject(request.query))
    if (!(await store.resume(scope, authorOf(request)))) throw new ServiceError('not_found', `${scope} is not paused.`)
    return { status: 204 }
  }

  async function changes(): Promise<ApiResponse> {
    const body: ChangeList = { data: (await store.changes(CHANGES_SHOWN)).map(changeView) }
    return { status: 200, body }
  }

  const at = { scope: 'admin' } as const
  return [
    { ...at, method: 'GET', path: '/v1/admin/limits', handle: list },
    { ...at, method: 'POST', path: '/v1/admin/limits', handle: change },
    { ...at, method: 'GET', path: '/v1/admin/pauses', handle: pauses },
    { ...at, method: 'POST', path: '/v1/admin/pauses', handle: pause },
    { ...at, method: 'DELETE', path: '/v1/admin/pauses', query: fieldsOf(resumeSchema), handle: resume },
    { ...at, method: 'GET', path: '/v1/admin/changes', handle: changes },
  ]
}
