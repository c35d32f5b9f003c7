import type { OwnKeep } from '../jobs/rules/keep.ts'
import type { StoredAmount } from '../limits/rules/stored.ts'
import type { SigningSecrets } from './rules/signing-secret.ts'
import type { ApiKey, Limits, OwnLimits, Scope, Tenant } from './rules/tenant.ts'

/** The caller of a request, before Redis is read. */
export type Caller =
  /** Presents an API key: its id, and the digest of the presented text. */
  | { by: 'key'; key: string; digest: string }
  /** Presents our own signature that names an API key. */
  | { by: 'holder'; key: string }
  /** Presents the development key, or our own signature that names it. */
  | { by: 'tenant'; tenant: string }

/** The budget that a request counts against; null: none. */
export type Charge =
  | { to: 'tenant' }
  /** An additional budget that limits the holder of a token to a part of the tenant's budget. */
  | { to: 'token'; subject: string; perMinute: number }
  | null

/** The state of a budget of requests: that of the tenant, or of a job token. */
export interface RequestRate {
  of: 'tenant' | 'token'
  perMinute: number
  /** Requests that may follow at once. */
  free: number
  /** Until the burst is whole again. */
  wholeInMs: number
}

export type Admission =
  | {
      status: 'admitted'
      tenant: string
      scopes: Scope[]
      limits: Limits
      keep: OwnKeep
      /** null: no request was counted. */
      rate: RequestRate | null
    }
  /** The key does not exist, or its secret is wrong. */
  | { status: 'unknown' }
  | { status: 'revoked' }
  | { status: 'expired' }
  | { status: 'suspended' }
  /** Redis has lost the data of this deployment, so no credentials can be judged. */
  | { status: 'lost' }
  | { status: 'limited'; waitMs: number; rate: RequestRate }

/** An undefined field stays unchanged. */
export interface TenantChange {
  title?: string | undefined
  limits?: { [Name in keyof OwnLimits]?: OwnLimits[Name] | undefined } | undefined
  /** null: the deployment's default */
  keep?: { [Clock in keyof OwnKeep]?: number | null | undefined } | undefined
  suspended?: boolean | undefined
  mail_to_metadata?: boolean | undefined
  /** null: the deployment's origins */
  cors_origins?: string[] | null | undefined
}

/** A page of a list. `after`: the last id of the previous page. */
export interface PageRequest {
  limit: number
  after?: string | undefined
}

/** Digests that are stored with the record of a new key. */
export interface KeySecret {
  /** SHA-256 of the key's text, hex. */
  digest: string
  /** Digest of the request that created it; '' when the request cannot be repeated. */
  request: string
}

/** Result of creating a key. Only `made` writes anything. */
export type KeyMade =
  | { status: 'made' }
  /** The id is taken; `same`: the same request created the key. */
  | { status: 'known'; same: boolean }
  /** The old key was rotated before. */
  | { status: 'replaced'; by: string }

export interface SigningSecretStore {
  /** Makes the first one when there is none: readers at the same time get the same. */
  read(tenant: string): Promise<SigningSecrets>
  /** Replaces the current one, which stays valid for `graceMs`; earlier ones end at the latest with it. */
  rotate(tenant: string, graceMs: number): Promise<SigningSecrets>
}

export interface TenantStore {
  /** Authenticates the caller and takes a token of the budget. One round trip; `last_used_at` changes once a minute at most. */
  admit(caller: Caller, charge: Charge): Promise<Admission>
  /** ms, Redis clock */
  now(): Promise<number>
  /** false: the id is taken, and its tenant stays unchanged. */
  createTenant(tenant: Tenant): Promise<boolean>
  tenant(id: string): Promise<Tenant | null>
  /** Sorted by id. */
  tenants(page: PageRequest): Promise<Tenant[]>
  /** What these tenants have stored, as counted for their limits, in the same order. */
  stored(ids: readonly string[]): Promise<StoredAmount[]>
  changeTenant(id: string, change: TenantChange): Promise<void>
  createKey(key: ApiKey, secret: KeySecret): Promise<KeyMade>
  key(id: string): Promise<ApiKey | null>
  /** Newest first. */
  keys(tenant: string, page: PageRequest): Promise<ApiKey[]>
  /** Replaces a key with a new one, once; the old one stays valid until `retiresAt` (ms). */
  replaceKey(old: string, retiresAt: number, key: ApiKey, secret: KeySecret): Promise<KeyMade>
  revokeKey(id: string): Promise<void>
}
