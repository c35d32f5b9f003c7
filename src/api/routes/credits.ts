import { Readable } from 'node:stream'
import { costView } from '../../shared/credits/rules/costs.ts'
import { ServiceError } from '../../shared/errors/service-error.ts'
import type { CreditAdmin } from '../../shared/credits/credit-admin.ts'
import {
  accountChangeSchema,
  allSpendingQuerySchema,
  costQuerySchema,
  entryRequestSchema,
  ledgerQuerySchema,
  MAX_SPENDING_DAYS,
  spendingDays,
  spendingQuerySchema,
} from '../../shared/credits/rules/credit-requests.ts'
import { accountView, entryView, spendingCsv, spendingView } from '../../shared/credits/rules/credit-view.ts'
import type { CreditStore } from '../../shared/credits/ports.ts'
import type { TenantAdmin } from '../../shared/tenants/tenant-admin.ts'
import { TENANT_ID } from '../../shared/tenants/rules/tenant.ts'
import { idempotencyKey } from '../idempotency.ts'
import type { Costs, Credits, LedgerEntry, LedgerPage, Spending } from '../description/credits.ts'
import type { ApiResponse, OwnedRequest, Route } from '../http.ts'
import { fieldsOf, invalidRequest, parseBody, parseWith, queryObject } from '../schemas.ts'

export interface CreditRoutesDependencies {
  store: CreditStore
  admin: CreditAdmin
  tenants: Pick<TenantAdmin, 'tenant'>
}

/** Credits: a tenant's account and spending, and an operator's grants and withdrawals. */
export function creditRoutes({ store, admin, tenants }: CreditRoutesDependencies): Route[] {
  async function account(tenant: string): Promise<ApiResponse> {
    const body: Credits = accountView(tenant, await store.account(tenant))
    return { status: 200, body }
  }

  async function ledger(tenant: string, { query }: OwnedRequest): Promise<ApiResponse> {
    const { cursor, ...rest } = parseWith(ledgerQuerySchema, queryObject(query))
    const { entries, next } = await store.ledger(tenant, { ...rest, before: cursor })
    const body: LedgerPage = { data: entries.map(entryView), next_cursor: next }
    return { status: 200, body }
  }

  /** The days of a query, and what was spent on them. */
  async function spent<Row>(
    range: { from?: string | undefined; to?: string | undefined },
    read: (days: readonly string[]) => Promise<Row[]>,
  ) {
    const asked = spendingDays(range, await store.now())
    if (asked === null)
      throw invalidRequest([
        { pointer: '/to', code: 'invalid_value', detail: `Not before from, and at most ${MAX_SPENDING_DAYS} days.` },
      ])
    return { ...asked, rows: await read(asked.days) }
  }

  async function ofTenant(tenant: string, { query }: OwnedRequest) {
    const { by, ...range } = parseWith(spendingQuerySchema, queryObject(query))
    const read = (days: readonly string[]) => store.spending(tenant, days, by === 'day' ? 'preset' : by)
    return { by, ...(await spent(range, read)) }
  }
  async function ofAll({ query }: OwnedRequest) {
    const { by, ...range } = parseWith(allSpendingQuerySchema, queryObject(query))
    return { by, ...(await spent(range, store.allSpending)) }
  }
  async function costs({ query }: OwnedRequest): Promise<ApiResponse> {
    const { from, to, rows } = await spent(parseWith(costQuerySchema, queryObject(query)), store.costs)
    const body: Costs = costView(from, to, rows)
    return { status: 200, body }
  }

  type Spent = Awaited<ReturnType<typeof ofTenant | typeof ofAll>>
  function shown({ from, to, by, rows }: Spent): ApiResponse {
    const body: Spending = spendingView(from, to, by, rows)
    return { status: 200, body }
  }
  const asCsv = ({ from, to, by, rows }: Spent): ApiResponse => ({
    status: 200,
    headers: {
      'content-type': 'text/csv; charset=utf-8',
      'content-disposition': `attachment; filename="spending-by-${by}-${from}-${to}.csv"`,
    },
    stream: Readable.from([spendingCsv(by, rows)]),
  })
  const spending = async (tenant: string, request: OwnedRequest) => shown(await ofTenant(tenant, request))
  const csv = async (tenant: string, request: OwnedRequest) => asCsv(await ofTenant(tenant, request))

  async function enter(tenant: string, request: OwnedRequest): Promise<ApiResponse> {
    const asked = parseBody(entryRequestSchema, request.body)
    const { entry, repeated } = await admin.enter(tenant, asked, idempotencyKey(request))
    const body: LedgerEntry = entryView(entry)
    return { status: 201, headers: repeated ? { 'idempotent-replayed': 'true' } : {}, body }
  }

  async function change(tenant: string, request: OwnedRequest): Promise<ApiResponse> {
    await store.setLowBalance(tenant, parseBody(accountChangeSchema, request.body).low_balance)
    return account(tenant)
  }

  const own =
    (show: (tenant: string, request: OwnedRequest) => Promise<ApiResponse>) =>
    (request: OwnedRequest): Promise<ApiResponse> =>
      show(request.principal.tenant, request)

  /** Account of the tenant in the path. */
  const named =
    (show: (tenant: string, request: OwnedRequest) => Promise<ApiResponse>) =>
    async (request: OwnedRequest): Promise<ApiResponse> => {
      const { id = '' } = request.params
      if (!TENANT_ID.test(id)) throw new ServiceError('not_found', 'The tenant does not exist.')
      return show((await tenants.tenant(id)).id, request)
    }

  return [
    { method: 'GET', path: '/v1/credits', scope: 'credits:read', handle: own(account) },
    {
      method: 'GET',
      path: '/v1/credits/ledger',
      query: fieldsOf(ledgerQuerySchema),
      scope: 'credits:read',
      handle: own(ledger),
    },
    {
      method: 'GET',
      path: '/v1/credits/spending',
      query: fieldsOf(spendingQuerySchema),
      scope: 'credits:read',
      handle: own(spending),
    },
    {
      method: 'GET',
      path: '/v1/credits/spending.csv',
      query: fieldsOf(spendingQuerySchema),
      scope: 'credits:read',
      handle: own(csv),
    },
    { method: 'GET', path: '/v1/admin/costs', query: fieldsOf(costQuerySchema), scope: 'admin', handle: costs },
    {
      method: 'GET',
      path: '/v1/admin/spending',
      query: fieldsOf(allSpendingQuerySchema),
      scope: 'admin',
      handle: async (request) => shown(await ofAll(request)),
    },
    {
      method: 'GET',
      path: '/v1/admin/spending.csv',
      query: fieldsOf(allSpendingQuerySchema),
      scope: 'admin',
      handle: async (request) => asCsv(await ofAll(request)),
    },
    {
      method: 'GET',
      path: '/v1/admin/tenants/:id/credits/spending.csv',
      query: fieldsOf(spendingQuerySchema),
      scope: 'admin',
      handle: named(csv),
    },
    { method: 'GET', path: '/v1/admin/tenants/:id/credits', scope: 'admin', handle: named(account) },
    { method: 'POST', path: '/v1/admin/tenants/:id/credits/low-balance', scope: 'admin', handle: named(change) },
    { method: 'POST', path: '/v1/admin/tenants/:id/credits', scope: 'admin', handle: named(enter) },
    {
      method: 'GET',
      path: '/v1/admin/tenants/:id/credits/ledger',
      query: fieldsOf(ledgerQuerySchema),
      scope: 'admin',
      handle: named(ledger),
    },
    {
      method: 'GET',
      path: '/v1/admin/tenants/:id/credits/spending',
      query: fieldsOf(spendingQuerySchema),
      scope: 'admin',
      handle: named(spending),
    },
  ]
}
