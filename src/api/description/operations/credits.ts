import { z } from 'zod'
import {
  accountChangeSchema,
  allSpendingQuerySchema,
  costQuerySchema,
  entryRequestSchema,
  ledgerQuerySchema,
  spendingQuerySchema,
} from '../../../shared/credits/rules/credit-requests.ts'
import { tenantName } from '../common.ts'
import { costs, credits, ledgerEntry, ledgerPage, spending } from '../credits.ts'
import { idempotencyKey, OWNED, POSTED, replayed, type Operations } from './operation.ts'

const params = z.object({ id: tenantName })
const SAME = "Returns the same data as the tenant's own route."
const ACCOUNT = { 200: { description: 'The account.', schema: credits } }
const LEDGER = { 200: { description: 'A page of the list.', schema: ledgerPage } }
const SPENDING = { 200: { description: 'The sums of each group, and the total.', schema: spending } }

const SPENDING_CSV = { 200: { description: 'CSV with a line of names.', schema: z.string(), media: 'text/csv' } }
const CSV = 'Returns one line for each day and group: `day`, the group, `jobs`, `estimated`, `captured`, `uncollected`.'

/** Credits of the tenant of the key. */
export const creditOperations = {
  getCredits: {
    method: 'get',
    path: '/v1/credits',
    tag: 'Credits',
    summary: 'Get the account',
    description:
      "Returns the account of the key's tenant. Amounts are whole micro-credits; one credit is 1,000,000 of them.",
    answers: ACCOUNT,
    errors: [...OWNED, 'credits_not_countable'],
  },
  listLedger: {
    method: 'get',
    path: '/v1/credits/ledger',
    tag: 'Credits',
    summary: 'List the ledger',
    description:
      'Lists all movements of the account in pages, newest first. Each entry contains the resulting account. With `kind` or `job` a page may be short although more pages follow.',
    query: ledgerQuerySchema,
    answers: LEDGER,
    errors: [...OWNED, 'credits_not_countable'],
  },
  getSpending: {
    method: 'get',
    path: '/v1/credits/spending',
    tag: 'Credits',
    summary: 'Get the spending',
    description:
      'Returns the captured amounts of jobs, by day of completion or by preset, with the amounts that were held for them.',
    query: spendingQuerySchema,
    answers: SPENDING,
    errors: [...OWNED, 'credits_not_countable'],
  },
  getSpendingCsv: {
    method: 'get',
    path: '/v1/credits/spending.csv',
    tag: 'Credits',
    summary: 'Get the spending as CSV',
    description: CSV,
    query: spendingQuerySchema,
    answers: SPENDING_CSV,
    errors: [...OWNED, 'credits_not_countable'],
  },
} satisfies Operations

/** The same of any tenant, for operators. */
export const creditAdminOperations = {
  enterCredits: {
    method: 'post',
    path: '/v1/admin/tenants/{id}/credits',
    tag: 'Administration',
    summary: 'Grant or adjust credits',
    description:
      'Adds credits to the account, or subtracts credits from it, with a ledger entry. The first grant makes the tenant limited; an `opening` entry before it grants the credits that the tenant had already spent. An adjustment that would make the balance negative gets 409 `balance_too_low`.',
    params,
    headers: z.object({
      'Idempotency-Key': idempotencyKey.describe(
        '1 to 255 printable ASCII characters. Repeated requests with the same value and body return the same entry; a different body is refused. It is kept as long as the ledger. Always send it: without it, two requests make two entries.',
      ),
    }),
    body: {
      required: true,
      schema: entryRequestSchema,
      example: { amount: 25_000_000, reason: 'Invoice 2026-114' },
    },
    answers: {
      201: { description: 'The entry, also for a repeated request.', schema: ledgerEntry, headers: replayed },
    },
    errors: [
      ...POSTED,
      'not_found',
      'invalid_idempotency_key',
      'idempotency_key_reused',
      'balance_too_low',
      'credits_not_countable',
    ],
  },
  setLowBalance: {
    method: 'post',
    path: '/v1/admin/tenants/{id}/credits/low-balance',
    tag: 'Administration',
    summary: 'Set the low balance of a tenant',
    description: 'Sets the balance below which the tenant is notified by `credits.low`.',
    params,
    body: { required: true, schema: accountChangeSchema, example: { low_balance: 5_000_000 } },
    answers: ACCOUNT,
    errors: [...POSTED, 'not_found', 'credits_not_countable'],
  },
  getTenantCredits: {
    method: 'get',
    path: '/v1/admin/tenants/{id}/credits',
    tag: 'Administration',
    summary: 'Get the account of a tenant',
    description: SAME,
    params,
    answers: ACCOUNT,
    errors: [...OWNED, 'not_found', 'credits_not_countable'],
  },
  listTenantLedger: {
    method: 'get',
    path: '/v1/admin/tenants/{id}/credits/ledger',
    tag: 'Administration',
    summary: 'List the ledger of a tenant',
    description: SAME,
    params,
    query: ledgerQuerySchema,
    answers: LEDGER,
    errors: [...OWNED, 'not_found', 'credits_not_countable'],
  },
  getTenantSpending: {
    method: 'get',
    path: '/v1/admin/tenants/{id}/credits/spending',
    tag: 'Administration',
    summary: 'Get the spending of a tenant',
    description: SAME,
    params,
    query: spendingQuerySchema,
    answers: SPENDING,
    errors: [...OWNED, 'not_found', 'credits_not_countable'],
  },
  getTenantSpendingCsv: {
    method: 'get',
    path: '/v1/admin/tenants/{id}/credits/spending.csv',
    tag: 'Administration',
    summary: 'Get the spending of a tenant as CSV',
    description: CSV,
    params,
    query: spendingQuerySchema,
    answers: SPENDING_CSV,
    errors: [...OWNED, 'not_found', 'credits_not_countable'],
  },
  getCosts: {
    method: 'get',
    path: '/v1/admin/costs',
    tag: 'Administration',
    summary: 'Compare charges with costs',
    description:
      "Returns for each model and day what its runs cost at Replicate, by Replicate's metrics and the prices of its models that this release knows, beside what was held and charged for them. A ratio that moves shows that a price of a preset, or of Replicate, has changed.",
    query: costQuerySchema,
    answers: { 200: { description: 'One row for each day and model.', schema: costs } },
    errors: OWNED,
  },
  getAllSpending: {
    method: 'get',
    path: '/v1/admin/spending',
    tag: 'Administration',
    summary: 'Get the spending of all tenants',
    description: 'Returns the captured amounts of all tenants, by tenant or by day. It is kept for 400 days.',
    query: allSpendingQuerySchema,
    answers: SPENDING,
    errors: OWNED,
  },
  getAllSpendingCsv: {
    method: 'get',
    path: '/v1/admin/spending.csv',
    tag: 'Administration',
    summary: 'Get the spending of all tenants as CSV',
    description: CSV,
    query: allSpendingQuerySchema,
    answers: SPENDING_CSV,
    errors: OWNED,
  },
} satisfies Operations
