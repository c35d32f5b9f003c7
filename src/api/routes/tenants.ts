import { ServiceError } from '../../shared/errors/service-error.ts'
import { KEY_ID } from '../../shared/tenants/rules/api-key.ts'
import type { MadeKey, TenantAdmin } from '../../shared/tenants/tenant-admin.ts'
import { keyView, tenantViews } from '../../shared/tenants/tenant-view.ts'
import { TENANT_ID, type Limits, type Tenant } from '../../shared/tenants/rules/tenant.ts'
import { idempotencyKey } from '../idempotency.ts'
import type { Key, NewKey, Tenant as TenantView } from '../description/tenants.ts'
import type { ApiResponse, OwnedRequest, Route } from '../http.ts'
import { fieldsOf, parseBody, parseWith, queryObject } from '../schemas.ts'
import {
  keyPageSchema,
  newKeySchema,
  newTenantSchema,
  rotationSchema,
  tenantChangeSchema,
  tenantPageSchema,
  withoutNulls,
} from '../../shared/tenants/rules/tenant-requests.ts'

/** Tenants and their keys, for operators. `defaults`: limits of tenants that have none set. */
export function tenantRoutes(admin: TenantAdmin, defaults: Limits): Route[] {
  function tenantOf({ params: { id = '' } }: OwnedRequest): string {
    if (!TENANT_ID.test(id)) throw new ServiceError('not_found', 'The tenant does not exist.')
    return id
  }

  function keyOf({ params: { keyId = '' } }: OwnedRequest): string {
    if (!KEY_ID.test(keyId)) throw new ServiceError('not_found', 'The key does not exist.')
    return keyId
  }

  const view = async (tenant: Tenant): Promise<TenantView | undefined> =>
    (await tenantViews(admin, [tenant], defaults))[0]

  async function create({ body }: OwnedRequest): Promise<ApiResponse> {
    const { id, title = id, limits, keep } = parseBody(newTenantSchema, body)
    const {
      requests_per_minute = null,
      queued_jobs = null,
      stored_bytes = null,
      stored_files = null,
      mails_per_hour = null,
      batch_jobs = null,
    } = limits
    const { tenant, created } = await admin.createTenant({
      id,
      title,
      limits: { requests_per_minute, queued_jobs, stored_bytes, stored_files, mails_per_hour, batch_jobs },
      keep: withoutNulls(keep),
    })
    return {
      status: created ? 201 : 200,
      headers: { location: `/v1/admin/tenants/${id}` },
      body: await view(tenant),
    }
  }

  async function list({ query }: OwnedRequest): Promise<ApiResponse> {
    const { limit, cursor } = parseWith(tenantPageSchema, queryObject(query))
    const tenants = await admin.tenants({ limit: limit + 1, after: cursor })
    return page(await tenantViews(admin, tenants, defaults), limit)
  }

  async function change(request: OwnedRequest): Promise<ApiResponse> {
    const id = tenantOf(request)
    const change = parseBody(tenantChangeSchema, request.body)
    return { status: 200, body: await view(await admin.changeTenant(id, change)) }
  }

  async function createKey(request: OwnedRequest): Promise<ApiResponse> {
    const id = tenantOf(request)
    const asked = parseWith(newKeySchema, request.body ?? {})
    const key = idempotencyKey(request)
    return shownOnce(await admin.createKey(id, asked, key === null ? null : { key, body: asked }))
  }

  async function listKeys(request: OwnedRequest): Promise<ApiResponse> {
    const id = tenantOf(request)
    const { limit, cursor } = parseWith(keyPageSchema, queryObject(request.query))
    const keys = await admin.keys(id, { limit: limit + 1, after: cursor })
    const now = await admin.now()
    return page(
      keys.map((key) => keyView(key, now)),
      limit,
    )
  }

  async function rotate(request: OwnedRequest): Promise<ApiResponse> {
    const [tenant, id] = [tenantOf(request), keyOf(request)]
    return shownOnce(await admin.rotateKey(tenant, id, parseWith(rotationSchema, request.body ?? {})))
  }

  return [
    { method: 'POST', path: '/v1/admin/tenants', scope: 'admin', handle: create },
    { method: 'GET', path: '/v1/admin/tenants', query: fieldsOf(tenantPageSchema), scope: 'admin', handle: list },
    {
      method: 'GET',
      path: '/v1/admin/tenants/:id',
      scope: 'admin',
      handle: async (request) => ({
        status: 200,
        body: await view(await admin.tenant(tenantOf(request))),
      }),
    },
    { method: 'POST', path: '/v1/admin/tenants/:id', scope: 'admin', handle: change },
    { method: 'POST', path: '/v1/admin/tenants/:id/keys', scope: 'admin', handle: createKey },
    {
      method: 'GET',
      path: '/v1/admin/tenants/:id/keys',
      query: fieldsOf(keyPageSchema),
      scope: 'admin',
      handle: listKeys,
    },
    {
      method: 'DELETE',
      path: '/v1/admin/tenants/:id/keys/:keyId',
      scope: 'admin',
      handle: async (request) => {
        await admin.revokeKey(tenantOf(request), keyOf(request))
        return { status: 204 }
      },
    },
    { method: 'POST', path: '/v1/admin/tenants/:id/keys/:keyId/rotate', scope: 'admin', handle: rotate },
  ]
}

/** The only response that contains the text of a key. */
function shownOnce({ record, key }: MadeKey): ApiResponse {
  const body: NewKey = { ...keyView(record, record.created_at), key }
  return { status: 201, body }
}

/** `found`: one more than the page when there is a next page. */
function page(found: (Key | TenantView)[], limit: number): ApiResponse {
  const data = found.slice(0, limit)
  const next_cursor = found.length > limit ? (data.at(-1)?.id ?? null) : null
  return { status: 200, body: { data, next_cursor } }
}
