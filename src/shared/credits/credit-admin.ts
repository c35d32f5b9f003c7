import { createHash, randomUUID } from 'node:crypto'
import { canonicalJson } from '../canonical-json.ts'
import { ServiceError } from '../errors.ts'
import type { LedgerEntry } from './ledger.ts'
import type { CreditStore, NewEntry } from './ports.ts'

/** What an operator does with credits, by HTTP or at the terminal. */
export function createCreditAdmin(store: CreditStore) {
  return {
    /**
     * A grant or an adjustment. `key`: the same one with the same entry answers the entry that it made; null: it is
     * entered anew. Throws `idempotency_key_reused`, `balance_too_low`, `invalid_request`.
     */
    async enter(
      tenant: string,
      { kind, amount, reason }: NewEntry,
      key: string | null,
    ): Promise<{ entry: LedgerEntry; repeated: boolean }> {
      // Without a key of the caller's one of our own, because a command whose reply is cut is sent again.
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
          throw new ServiceError('idempotency_key_reused', 'This Idempotency-Key was used for another entry.')
        case 'too_low':
          throw new ServiceError('balance_too_low', `The balance is ${result.balance} micro-credits.`)
        case 'too_large': {
          const detail = 'The account could not be counted exactly any more.'
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
