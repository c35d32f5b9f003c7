import type { AccountTerms } from '../replicate/rules/account-choice.ts'
import { DEFAULT_ACCOUNT } from '../jobs/rules/job.ts'
import type { Config } from './config.ts'

/** A Replicate account, as configured. */
export interface AccountSettings extends AccountTerms {
  /** null: the token of the account `default`, which is that of the simulator without REPLICATE_API_TOKEN. */
  token: string | null
  /** null: fetched from Replicate. */
  webhookSecret: string | null
  createsPerMinute: number
  createBurst: number
  readsPerMinute: number
}

/** The accounts: `default`, that of REPLICATE_API_TOKEN. */
export function accountsOf({ replicate }: Pick<Config, 'replicate'>): [AccountSettings, ...AccountSettings[]] {
  const { token, webhookSecret, createsPerMinute, createBurst, readsPerMinute } = replicate
  const terms: AccountTerms = { name: DEFAULT_ACCOUNT, weight: 1, tenants: null, presets: null, dedicated: false }
  return [{ ...terms, token, webhookSecret, createsPerMinute, createBurst, readsPerMinute }]
}
