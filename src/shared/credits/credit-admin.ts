import { createHash, randomUUID } from 'node:crypto'
import { canonicalJson } from '../values/canonical-json.ts'
import { ServiceError } from '../errors/service-error.ts'
import type { LedgerEntry } from './rules/ledger.ts'
import type { CreditStore, NewEntry } from './ports.ts'
import { notCountable } from './rules/readable.ts'

/** An operator's use cases of credits, over HTTP and on the command line. */
export function createCreditAdmin(store: CreditStore) {
  return {
    /**
     * Makes a grant or an adjustment. `key`: idempotency key; a repetition with the same entry returns the first entry. null:
     * every call makes an entry. Throws `idempotency_key_reused`, `balance_too_low`, `invalid_request`,
     * `credits_not_countable`.
     */
    async enter(
      tenant: string,
      { kind, amount, reason }: NewEntry,
      key: string | null,
    ): Promise<{ entry: LedgerEntry; repeated: boolean }> {
      // A caller without a key gets a random one, because a Redis command whose reply was lost is sent again.
      const result = await store.enter(
        tenant,
        { kind, amount, reason },
        { request: digest(key ?? randomUUID()), body: digest({ kind, amount, reason }) },
      )
      switch (result.status) {
        case 'entered':
        case 'repeated':
          return { entry: result.entry, repeated: result.status === 'repeated' }
        case 'key_reused':
          throw new ServiceError('idempotency_key_reused', 'This Idempotency-Key was already used for another entry.')
        case 'too_low':
          throw new ServiceError(
            'balance_too_low',
            `The adjustment exceeds the balance of ${result.balance} micro-credits.`,
          )
        case 'damaged':
          throw notCountable(`The account (${result.field})`)
        case 'too_large': {
          const detail =
            'The account would exceed the largest amount that can be represented exactly (2^53 - 1 micro-credits).'
          throw new ServiceError('invalid_request', detail, {
            fields: [{ pointer: '/amount', code: 'too_big', detail }],
          })
        }
      }
    },
  }
}

const digest = (value: unknown): string => createHash('sha256').update(canonicalJson(value)).digest('base64url')

export type CreditAdmin = ReturnType<typeof createCreditAdmin>
