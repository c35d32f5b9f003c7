import type { OwnKeep } from '../shared/jobs/keep.ts'
import type { Limits, Scope } from '../shared/tenants/tenant.ts'

/** Authenticated caller and its rights. */
export interface Principal {
  tenant: string
  scopes: readonly Scope[]
  /** null: the development key */
  keyId: string | null
  limits: Limits
  /** Retention values that the tenant overrides. */
  keep: OwnKeep
  /** With a job token: the job or batch that it grants access to. */
  only: string | null
  /** Expiry of session or token, ms; null: with the key. */
  until: number | null
}

/** Whether an object belongs to the principal: to its tenant, and to the subject of its job token. */
export function mayOpen(
  { tenant, only }: Principal,
  thing: { id: string; tenant: string; batch?: string | null },
): boolean {
  return thing.tenant === tenant && (only === null || only === thing.id || only === thing.batch)
}
