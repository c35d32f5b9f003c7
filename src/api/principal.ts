import { ServiceError } from '../shared/errors/service-error.ts'
import type { OwnKeep } from '../shared/jobs/rules/keep.ts'
import type { RequestRate } from '../shared/tenants/ports.ts'
import type { Limits, Scope } from '../shared/tenants/rules/tenant.ts'

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
  /** The budget of requests that this one was counted in; null: none. */
  rate: RequestRate | null
}

/** Throws `forbidden` unless the principal has the scope. */
export function requireScope({ scopes }: Pick<Principal, 'scopes'>, scope: Scope): void {
  if (!scopes.includes(scope)) throw new ServiceError('forbidden', `The key lacks the scope ${scope}.`)
}
