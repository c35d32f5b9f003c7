import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { DEFAULT_ACCOUNT } from '../jobs/rules/job.ts'
import type { AccountTerms } from '../replicate/rules/account-choice.ts'
import { messageOf } from '../values/error-text.ts'

/** A Replicate account, as configured. */
export interface AccountSettings extends AccountTerms {
  /** null: that of the account `default`, which without REPLICATE_API_TOKEN is the simulator's. */
  token: string | null
  /** null: fetched from Replicate. */
  webhookSecret: string | null
  createsPerMinute: number
  createBurst: number
  readsPerMinute: number
}

/** Who may use the account `default`, and the further accounts. */
export interface FurtherAccounts {
  terms: AccountTerms
  others: AccountSettings[]
}

const DEFAULT_TERMS: AccountTerms = {
  name: DEFAULT_ACCOUNT,
  weight: 1,
  tenants: null,
  presets: null,
  dedicated: false,
}

/** The settings of the account `default`, and the others. */
export interface ReplicateSettings extends Omit<AccountSettings, keyof AccountTerms> {
  accounts: FurtherAccounts
}

/** All accounts, `default` first: that of REPLICATE_API_TOKEN. */
export function accountsOf({ replicate }: { replicate: ReplicateSettings }): [AccountSettings, ...AccountSettings[]] {
  const { token, webhookSecret, createsPerMinute, createBurst, readsPerMinute, accounts } = replicate
  return [
    { ...accounts.terms, token, webhookSecret, createsPerMinute, createBurst, readsPerMinute },
    ...accounts.others,
  ]
}

const MAX_ACCOUNTS = 20
const MAX_RATE = 1_000_000
const CREATES_PER_MINUTE = 600
const READS_PER_MINUTE = 3_000

const NAME = 'a name of a-z, 0-9 and -, up to 32 characters'
const RATE = `a whole number, 1 to ${MAX_RATE}`
const NAMES = 'a list of 1 to 1000 names'
const rate = z.int().min(1).max(MAX_RATE).optional().describe(RATE)
const names = z.array(z.string().min(1).max(100)).min(1).max(1000).optional().describe(NAMES)

/** The properties of an entry; the description says what is expected. */
const properties = {
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,31}$/)
    .describe(NAME),
  token: z.string().min(1).optional().describe('a token of the account'),
  webhook_secret: z
    .string()
    .regex(/^whsec_[A-Za-z0-9+/=]{16,}$/)
    .optional()
    .describe('whsec_ and base64; leave it out to have it fetched from Replicate'),
  creates_per_minute: rate,
  create_burst: z.int().min(1).max(10_000).optional().describe('a whole number, 1 to 10000'),
  reads_per_minute: rate,
  weight: z.number().min(0.01).max(100).optional().describe('a number, 0.01 to 100'),
  tenants: names,
  presets: names,
  dedicated: z.boolean().optional().describe('true or false'),
}
const entrySchema = z.strictObject(properties)
type Entry = z.output<typeof entrySchema>

/** Only the account `default` has these in variables. */
const IN_VARIABLES = ['token', 'webhook_secret', 'creates_per_minute', 'create_burst', 'reads_per_minute'] as const
const SECRETS: ReadonlySet<string> = new Set(['token', 'webhook_secret'])

/** Reads the accounts from the JSON of a variable or of a file. Adds to `wrong` what an operator has to correct. */
export function readAccounts(
  { json, file, token }: { json: string | undefined; file: string | undefined; token: string | undefined },
  wrong: string[],
): FurtherAccounts {
  const none: FurtherAccounts = { terms: DEFAULT_TERMS, others: [] }
  const variable = file === undefined ? 'REPLICATE_ACCOUNTS' : 'REPLICATE_ACCOUNTS_FILE'
  if (json === undefined && file === undefined) return none
  const before = wrong.length
  if (json !== undefined && file !== undefined)
    wrong.push('REPLICATE_ACCOUNTS and REPLICATE_ACCOUNTS_FILE are both set. Set one of them')
  if (token === undefined)
    wrong.push(
      `REPLICATE_API_TOKEN is not set. ${variable} needs it: its account is called ${DEFAULT_ACCOUNT}, and the list adds further ones`,
    )
  const entries =
    wrong.length > before ? [] : parseEntries(variable, file === undefined ? json : readText(file, wrong), wrong)
  if (wrong.length > before) return none
  wrong.push(...contradictions(entries, token).map((text) => `${variable}: ${text}`))
  const own = entries.find(({ name }) => name === DEFAULT_ACCOUNT)
  return {
    terms: own ? termsOf(own) : DEFAULT_TERMS,
    others: entries.filter((entry) => entry !== own).map(settingsOf),
  }
}

function readText(file: string, wrong: string[]): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    wrong.push(`REPLICATE_ACCOUNTS_FILE: ${messageOf(error)}`)
    return undefined
  }
}

function parseEntries(variable: string, text: string | undefined, wrong: string[]): Entry[] {
  if (text === undefined) return []
  let list: unknown
  try {
    list = JSON.parse(text)
  } catch {
    // The message of the parser may repeat a token.
    wrong.push(`${variable}: it is not JSON. Expected a list such as [{"name": "second", "token": "r8_..."}]`)
    return []
  }
  if (!Array.isArray(list) || list.length === 0 || list.length > MAX_ACCOUNTS) {
    wrong.push(`${variable}: expected a JSON list of 1 to ${MAX_ACCOUNTS} accounts`)
    return []
  }
  return list.flatMap((one: unknown, at) => {
    const parsed = entrySchema.safeParse(one)
    if (parsed.success) return parsed.data
    for (const text of new Set(parsed.error.issues.map((issue) => problemOf(one, issue))))
      wrong.push(`${variable}: account ${at + 1}${nameIn(one)}: ${text}`)
    return []
  })
}

const nameIn = (entry: unknown): string => {
  const name: unknown = valueOf(entry, 'name')
  return typeof name === 'string' ? ` (${name})` : ''
}

const valueOf = (entry: unknown, name: string): unknown =>
  typeof entry === 'object' && entry !== null ? Reflect.get(entry, name) : undefined

function problemOf(entry: unknown, issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys')
    return `${issue.keys.join(', ')} is unknown. Known are ${Object.keys(properties).join(', ')}`
  const name = String(issue.path[0] ?? '')
  const expected = Object.entries(properties).find(([known]) => known === name)?.[1].description
  if (expected === undefined) return `expected an object with name and token`
  const value = valueOf(entry, name)
  const read = value === undefined ? 'nothing' : SECRETS.has(name) ? 'another text' : JSON.stringify(value)
  return `${name}: read ${read}, expected ${expected}`
}

/** What no entry shows alone. */
function contradictions(entries: readonly Entry[], token: string | undefined): string[] {
  const wrong: string[] = []
  const tokens = new Map<string, string>(token === undefined ? [] : [[token, DEFAULT_ACCOUNT]])
  const seen = new Set<string>()
  for (const entry of entries) {
    const { name, dedicated, tenants, presets } = entry
    if (seen.has(name)) wrong.push(`the name ${name} occurs twice`)
    seen.add(name)
    if (dedicated && tenants === undefined && presets === undefined)
      wrong.push(`account ${name}: dedicated needs tenants or presets, whose jobs use no other account`)
    if (name === DEFAULT_ACCOUNT) {
      for (const property of IN_VARIABLES)
        if (entry[property] !== undefined)
          wrong.push(`account ${name}: ${property} is set by a variable (REPLICATE_API_TOKEN and others). Remove it`)
      continue
    }
    if (entry.token === undefined) wrong.push(`account ${name}: token: read nothing, expected a token of the account`)
    else {
      const holder = tokens.get(entry.token)
      if (holder !== undefined)
        wrong.push(`account ${name}: it has the token of the account ${holder}, whose limits would be counted twice`)
      tokens.set(entry.token, name)
    }
  }
  const limited = entries.filter(({ tenants, presets }) => tenants !== undefined || presets !== undefined)
  if (seen.has(DEFAULT_ACCOUNT) && limited.length === entries.length)
    wrong.push('every account has tenants or presets. Leave one without them, for the jobs of all others')
  return wrong
}

const termsOf = ({ name, weight = 1, tenants, presets, dedicated = false }: Entry): AccountTerms => ({
  name,
  weight,
  tenants: tenants ?? null,
  presets: presets ?? null,
  dedicated,
})

/**
 * Default burst of creates: four fifths of a second's worth. Requests take unequal times on their way, so with all of it an account that is
 * used to the full would now and then meet two of them too close together.
 */
export const burstOf = (perMinute: number): number => Math.max(1, Math.floor((0.8 * perMinute) / 60))

function settingsOf(entry: Entry): AccountSettings {
  const perMinute = entry.creates_per_minute ?? CREATES_PER_MINUTE
  return {
    ...termsOf(entry),
    token: entry.token ?? null,
    webhookSecret: entry.webhook_secret ?? null,
    createsPerMinute: perMinute,
    createBurst: entry.create_burst ?? burstOf(perMinute),
    readsPerMinute: entry.reads_per_minute ?? READS_PER_MINUTE,
  }
}
