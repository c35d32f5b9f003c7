import type { ReadBudget } from '../limits/rules/budget.ts'
import type { PredictionPort, ReadFailure } from './prediction-port.ts'
import type { RelayPort } from './relay-port.ts'

/** A Replicate account: what is done in it uses its token and its budget. */
export interface ReplicateAccount {
  name: string
  upstream: PredictionPort
  relay: RelayPort
  /** Budget of all requests but creates, shared by all processes. */
  reads: ReadBudget
  /** Whether a response refused its token, and none accepted it since. */
  isRefused: () => boolean
  /** Whether Replicate does not respond to it. */
  isFailing: () => boolean
}

/** The accounts of a deployment. */
export interface Accounts {
  /** The account of REPLICATE_API_TOKEN: what belongs to no job is read in it. */
  first: ReplicateAccount
  all: readonly ReplicateAccount[]
  has(name: string): boolean
  /** An account that is not configured refuses everything: its predictions can be neither read nor canceled. */
  of(name: string): ReplicateAccount
}

export function createAccounts(all: readonly [ReplicateAccount, ...ReplicateAccount[]]): Accounts {
  const byName = new Map(all.map((account) => [account.name, account]))
  return {
    first: all[0],
    all,
    has: (name) => byName.has(name),
    of: (name) => byName.get(name) ?? absentAccount(name),
  }
}

/** An account that is not configured. */
export function absentAccount(name: string): ReplicateAccount {
  const reason = `the account ${name} is not configured (REPLICATE_ACCOUNTS)`
  const failed = (): Promise<ReadFailure> => Promise.resolve({ kind: 'failed', cause: 'account', reason })
  const rejected = (): Promise<never> => Promise.reject(new Error(reason))
  return {
    name,
    upstream: {
      create: () => Promise.resolve({ kind: 'not_sent' }),
      get: failed,
      output: failed,
      cancel: failed,
      list: failed,
      account: () => Promise.resolve('away'),
      uploadFile: () => Promise.resolve({ kind: 'failed', reason }),
      webhookSecret: rejected,
      model: rejected,
      deployment: rejected,
    },
    relay: {
      read: rejected,
      streamUrl: rejected,
      // eslint-disable-next-line require-yield
      async *stream() {
        await rejected()
      },
    },
    reads: { of: () => ({ take: () => Promise.resolve() }) },
    isRefused: () => false,
    isFailing: () => false,
  }
}
