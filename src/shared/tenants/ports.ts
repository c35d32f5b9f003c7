import type { OwnKeep } from '../jobs/keep.ts'
import type { ApiKey, Limits, OwnLimits, Scope, Tenant } from './tenant.ts'

/** Who asks, as far as it is known before Redis was asked. */
export type Caller =
  /** By an API key: its id, and the digest of what was presented. */
  | { by: 'key'; key: string; digest: string }
  /** By a signature of ours that names an API key. */
  | { by: 'holder'; key: string }
  /** By the development key, or a signature of ours that names it. */
  | { by: 'tenant'; tenant: string }

/** What a request is counted against; null: nothing. */
export type Charge =
  | { to: 'tenant' }
  /** A budget beside the tenant's, so that the holder of a token has no more than a part of that. */
  | { to: 'token'; subject: string; perMinute: number }
  | null

export type Admission =
  | { status: 'admitted'; tenant: string; scopes: Scope[]; limits: Limits; keep: OwnKeep }
  /** There is no such key, or it has another secret. */
  | { status: 'unknown' }
  | { status: 'revoked' }
  | { status: 'expired' }
  | { status: 'suspended' }
  /** Redis has lost the data of this deployment: nobody's credentials can be judged. */
  | { status: 'lost' }
  /** `of`: whose budget is used up. */
  | { status: 'limited'; waitMs: number; perMinute: number; of: 'tenant' | 'token' }

/** What is undefined stays as it is. */
export interface TenantChange {
  title?: string | undefined
  limits?: { [Name in keyof OwnLimits]?: OwnLimits[Name] | undefined } | undefined
  /** null: as the deployment has it */
  keep?: { [Clock in keyof OwnKeep]?: number | null | undefined } | undefined
  suspended?: boolean | undefined
  /** null: the deployment's */
  cors_origins?: string[] | null | undefined
}

/** A part of a list. `after`: the last id of the page before. */
export interface PageRequest {
  limit: number
  after?: string | undefined
}

export interface TenantStore {
  /** Whether the caller may come in now. One round trip; a use of the key is noted once a minute. */
  admit(caller: Caller, charge: Charge): Promise<Admission>
  /** ms, Redis clock */
  now(): Promise<number>
  /** false: there is one of this id already, and it stays as it is. */
  createTenant(tenant: Tenant): Promise<boolean>
  tenant(id: string): Promise<Tenant | null>
  /** By id. */
  tenants(page: PageRequest): Promise<Tenant[]>
  changeTenant(id: string, change: TenantChange): Promise<void>
  createKey(key: ApiKey, digest: string): Promise<void>
  key(id: string): Promise<ApiKey | null>
  /** Newest first. */
  keys(tenant: string, page: PageRequest): Promise<ApiKey[]>
  /** A new key in the place of an old one, which works until `retiresAt` (ms). */
  replaceKey(old: string, retiresAt: number, key: ApiKey, digest: string): Promise<void>
  revokeKey(id: string): Promise<void>
}
