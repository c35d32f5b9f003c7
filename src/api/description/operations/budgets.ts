import { z } from 'zod'
import {
  budgetChangeSchema,
  budgetListSchema,
  budgetRequestSchema,
} from '../../../shared/credits/rules/budget-requests.ts'
import { budget, budgetId, budgetPage } from '../budgets.ts'
import { idempotencyKey, OWNED, POSTED, replayed, type Operations } from './operation.ts'

const params = z.object({ id: budgetId })
const LIST = { 200: { description: 'All of them, oldest first.', schema: budgetPage } }
const BUDGET = { 200: { description: 'The budget.', schema: budget } }

/** Budgets of the tenant of the key. */
export const budgetOperations = {
  listBudgets: {
    method: 'get',
    path: '/v1/budgets',
    tag: 'Credits',
    summary: 'List budgets',
    description: "Lists the budgets of the key's tenant with what they count in the current period.",
    answers: LIST,
    errors: OWNED,
  },
  getBudget: {
    method: 'get',
    path: '/v1/budgets/{id}',
    tag: 'Credits',
    summary: 'Get a budget',
    params,
    answers: BUDGET,
    errors: [...OWNED, 'not_found'],
  },
} satisfies Operations

/** The same of any tenant, for operators. */
export const budgetAdminOperations = {
  createBudget: {
    method: 'post',
    path: '/v1/admin/budgets',
    tag: 'Administration',
    summary: 'Create a budget',
    description:
      'Limits what the jobs of a tenant, a key, a preset or a user may cost in each calendar period. It counts jobs that are accepted from now on: what was held for a job, in the period of its acceptance, and after its end what was captured. Jobs beyond a hard limit get 402 `budget_exceeded`.',
    headers: z.object({
      'Idempotency-Key': idempotencyKey.describe(
        '1 to 255 printable ASCII characters. Repeated requests with the same value and body return the same budget; a different body is refused.',
      ),
    }),
    body: {
      required: true,
      schema: budgetRequestSchema,
      example: { scope: 'tenant', tenant: 'story-app', period: 'month', time_zone: 'Europe/Berlin', limit: 50_000_000 },
    },
    answers: { 201: { description: 'The budget, also for a repeated request.', schema: budget, headers: replayed } },
    errors: [...POSTED, 'not_found', 'invalid_idempotency_key', 'idempotency_key_reused', 'too_many_budgets'],
  },
  listAllBudgets: {
    method: 'get',
    path: '/v1/admin/budgets',
    tag: 'Administration',
    summary: 'List all budgets',
    query: budgetListSchema,
    answers: LIST,
    errors: OWNED,
  },
  getAnyBudget: {
    method: 'get',
    path: '/v1/admin/budgets/{id}',
    tag: 'Administration',
    summary: 'Get a budget of any tenant',
    params,
    answers: BUDGET,
    errors: [...OWNED, 'not_found'],
  },
  changeBudget: {
    method: 'post',
    path: '/v1/admin/budgets/{id}',
    tag: 'Administration',
    summary: 'Change a budget',
    description: 'The limit applies at once, also to what the period has counted before.',
    params,
    body: { required: true, schema: budgetChangeSchema, example: { limit: 80_000_000 } },
    answers: BUDGET,
    errors: [...POSTED, 'not_found'],
  },
  removeBudget: {
    method: 'delete',
    path: '/v1/admin/budgets/{id}',
    tag: 'Administration',
    summary: 'Remove a budget',
    description: 'Repeating the request changes nothing.',
    params,
    answers: { 204: { description: 'The budget is removed.', schema: null } },
    errors: OWNED,
  },
} satisfies Operations
