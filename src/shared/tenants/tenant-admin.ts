import { hash } from 'node:crypto'
import { canonicalJson } from '../values/canonical-json.ts'
import { ServiceError } from '../errors/service-error.ts'
import { CLOCKS, keepProblem, type OwnKeep } from '../jobs/rules/keep.ts'
import { keyDigest, keyIdFor, makeKey } from './rules/api-key.ts'
import type { PageRequest, TenantChange, TenantStore } from './ports.ts'
import { withoutNulls } from './rules/tenant-requests.ts'
import {
  DEFAULT_TENANT,
  keyState,
  LIMIT_NAMES,
  type ApiKey,
  type OwnLimits,
  type Scope,
  type Tenant,
} from './rules/tenant.ts'

export interface NewTenant {
  id: string
  title: string
  limits: OwnLimits
  keep: OwnKeep
}

export interface NewKey {
  title: string
  scopes: Scope[]
  /** ms; null: never */
  expires_at: number | null
}

/** A key and its text, which cannot be recovered later. */
export interface MadeKey {
  record: ApiKey
  key: string
}

/** Idempotency key and body of a request. */
export interface RequestName {
  /** The Idempotency-Key: 1 to 255 characters. */
  key: string
  /** Content of the request, which is compared with that of a repetition. */
  body: unknown
}

const wrong = (pointer: string, code: string, detail: string): ServiceError =>
  new ServiceError('invalid_request', detail, { fields: [{ pointer, code, detail }] })

/** null: the deployment's default. */
function checkKeep(keep: { [Clock in keyof OwnKeep]?: number | null | undefined }): void {
  const problem = keepProblem(withoutNulls(keep))
  if (problem) throw wrong(`/keep/${problem.clock}`, 'inconsistent', problem.detail)
}

/** An operator's use cases of tenants and their keys, over HTTP and on the command line. */
export function createTenantAdmin(store: TenantStore) {
  async function find(id: string): Promise<Tenant> {
    const tenant = await store.tenant(id)
    if (tenant === null) throw new ServiceError('not_found', `Tenant ${id} does not exist.`)
    return tenant
  }

  /** A key of the tenant; `tenant` null: of any tenant. */
  async function findKey(tenant: string | null, id: string): Promise<ApiKey> {
    const key = await store.key(id)
    if (key === null || (tenant !== null && key.tenant !== tenant))
      throw new ServiceError('not_found', `Key ${id} does not exist.`)
    return key
  }

  function build(
    tenant: string,
    { title, scopes, expires_at }: NewKey,
    now: number,
    knownId?: string,
  ): MadeKey & { digest: string } {
    if (expires_at !== null && expires_at <= now) throw wrong('/expires_at', 'in_the_past', 'The time is in the past.')
    const { id, key } = makeKey(knownId)
    const record = { id, tenant, title, scopes, created_at: now, expires_at }
    const untouched = { retires_at: null, revoked_at: null, last_used_at: null, replaced_by: null }
    return { record: { ...record, ...untouched }, key, digest: keyDigest(key) }
  }

  return {
    /** ms */
    now: store.now,
    tenant: find,
    tenants: store.tenants,
    stored: store.stored,

    /** Idempotent: an equal tenant is created once. Throws `tenant_exists` for a different tenant with the same id. */
    async createTenant({ id, title, limits, keep }: NewTenant): Promise<{ tenant: Tenant; created: boolean }> {
      checkKeep(keep)
      const created =
        id !== DEFAULT_TENANT &&
        (await store.createTenant({
          id,
          title,
          limits,
          keep,
          created_at: await store.now(),
          suspended_at: null,
          mail_to_metadata: false,
          cors_origins: null,
        }))
      const tenant = await find(id)
      const same =
        tenant.title === title &&
        LIMIT_NAMES.every((name) => (tenant.limits[name] ?? null) === (limits[name] ?? null)) &&
        CLOCKS.every((clock) => tenant.keep[clock] === keep[clock])
      if (!same) throw new ServiceError('tenant_exists', `The tenant ${id} already exists with other settings.`)
      return { tenant, created }
    },

    async changeTenant(id: string, change: TenantChange): Promise<Tenant> {
      const { keep } = await find(id)
      checkKeep({ ...keep, ...change.keep })
      if (id === DEFAULT_TENANT && change.suspended === true)
        throw wrong('/suspended', 'not_suspendable', `The tenant ${DEFAULT_TENANT} cannot be suspended.`)
      await store.changeTenant(id, change)
      return find(id)
    },

    /** Throws `not_found`. */
    key: findKey,

    async keys(tenant: string, page: PageRequest): Promise<ApiKey[]> {
      await find(tenant)
      return store.keys(tenant, page)
    },

    /**
     * Idempotent by `name`. Only the first response contains the key's text, because the text is not stored: a repeated
     * request throws `key_already_made`, which names the key. Throws `idempotency_key_reused` for a different body.
     */
    async createKey(tenant: string, request: NewKey, name: RequestName | null): Promise<MadeKey> {
      await find(tenant)
      const id = name === null ? undefined : keyIdFor(tenant, name.key)
      const { record, key, digest } = build(tenant, request, await store.now(), id)
      const body = name === null ? '' : hash('sha256', canonicalJson(name.body), 'hex')
      const made = await store.createKey(record, { digest, request: body })
      if (made.status === 'made') return { record, key }
      if (made.status === 'known' && !made.same)
        throw new ServiceError('idempotency_key_reused', 'This Idempotency-Key was used for another key.')
      throw new ServiceError(
        'key_already_made',
        `Key ${record.id} was already created by the same request. Its text is shown only once; if it is lost, rotate the key with a grace of 0, or revoke it.`,
        { keyId: record.id },
      )
    },

    /**
     * Creates a key with the title, scopes and lifetime of an old one, which stays valid for `grace` more seconds. A key is
     * rotated once: a repeated request throws `key_already_made`, which names the successor. Throws `not_found`,
     * `key_not_active`.
     */
    async rotateKey(
      tenant: string | null,
      id: string,
      { grace, expires_at }: { grace: number; expires_at?: number | null | undefined },
    ): Promise<MadeKey> {
      const old = await findKey(tenant, id)
      const now = await store.now()
      // A rotated key passes even after its grace period, so that the error names its successor.
      if (keyState(old, now) !== 'active' && (old.replaced_by === null || old.revoked_at !== null))
        throw new ServiceError('key_not_active', 'The key has expired or was revoked. Create a new key.')
      const life = old.expires_at === null ? null : now + old.expires_at - old.created_at
      const request = { title: old.title, scopes: old.scopes, expires_at: expires_at === undefined ? life : expires_at }
      const { record, key, digest } = build(old.tenant, request, now)
      const made = await store.replaceKey(old.id, now + grace * 1000, record, { digest, request: '' })
      if (made.status === 'made') return { record, key }
      const next = made.status === 'replaced' ? made.by : record.id
      throw new ServiceError(
        'key_already_made',
        `Key ${old.id} was already rotated; its successor is ${next}. The text of a key is shown only once; if it is lost, rotate ${next} with a grace of 0.`,
        { keyId: next },
      )
    },

    /** Idempotent. */
    async revokeKey(tenant: string | null, id: string): Promise<ApiKey> {
      const { id: known } = await findKey(tenant, id)
      await store.revokeKey(known)
      return findKey(tenant, known)
    },
  }
}

export type TenantAdmin = ReturnType<typeof createTenantAdmin>
