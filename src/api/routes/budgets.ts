import type { BudgetAdmin } from '../../shared/credits/budget-admin.ts'
import {
  budgetChangeSchema,
  budgetListSchema,
  budgetRequestSchema,
} from '../../shared/credits/rules/budget-requests.ts'
import type { Budget, BudgetPage } from '../description/budgets.ts'
import type { ApiResponse, OwnedRequest, Route } from '../http.ts'
import { idempotencyKey } from '../idempotency.ts'
import { fieldsOf, parseBody, parseWith, queryObject } from '../schemas.ts'

/** Budgets: those of a tenant, and their administration. */
export function budgetRoutes(budgets: BudgetAdmin): Route[] {
  async function list(tenant: string | null): Promise<ApiResponse> {
    const body: BudgetPage = { data: await budgets.list(tenant), next_cursor: null }
    return { status: 200, body }
  }

  async function create(request: OwnedRequest): Promise<ApiResponse> {
    const asked = parseBody(budgetRequestSchema, request.body)
    const { budget, repeated } = await budgets.create(asked, idempotencyKey(request))
    const body: Budget = budget
    return {
      status: 201,
      headers: { location: `/v1/admin/budgets/${body.id}`, ...(repeated ? { 'idempotent-replayed': 'true' } : {}) },
      body,
    }
  }

  async function show(id = '', tenant: string | null = null): Promise<ApiResponse> {
    const body: Budget = await budgets.read(id, tenant)
    return { status: 200, body }
  }

  async function change({ params: { id = '' }, body }: OwnedRequest): Promise<ApiResponse> {
    const changed: Budget = await budgets.change(id, parseBody(budgetChangeSchema, body))
    return { status: 200, body: changed }
  }

  async function remove({ params: { id = '' } }: OwnedRequest): Promise<ApiResponse> {
    await budgets.remove(id)
    return { status: 204 }
  }

  return [
    {
      method: 'GET',
      path: '/v1/budgets',
      scope: 'credits:read',
      handle: ({ principal }) => list(principal.tenant),
    },
    {
      method: 'GET',
      path: '/v1/budgets/:id',
      scope: 'credits:read',
      handle: ({ params, principal }) => show(params['id'], principal.tenant),
    },
    {
      method: 'GET',
      path: '/v1/admin/budgets',
      query: fieldsOf(budgetListSchema),
      scope: 'admin',
      handle: ({ query }) => list(parseWith(budgetListSchema, queryObject(query)).tenant ?? null),
    },
    { method: 'POST', path: '/v1/admin/budgets', scope: 'admin', handle: create },
    { method: 'GET', path: '/v1/admin/budgets/:id', scope: 'admin', handle: ({ params }) => show(params['id']) },
    { method: 'POST', path: '/v1/admin/budgets/:id', scope: 'admin', handle: change },
    { method: 'DELETE', path: '/v1/admin/budgets/:id', scope: 'admin', handle: remove },
  ]
}
