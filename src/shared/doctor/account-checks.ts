import type { Seen } from '../conditions/watch-upstream.ts'
import type { CreateRate, Pause } from '../jobs/ports.ts'
import { shownRate } from '../limits/rules/budget.ts'
import type { PredictionPort } from '../replicate/prediction-port.ts'
import type { WebhookSecrets } from '../replicate/webhook-secrets.ts'
import { CHECK_STATES, failed, ok, skipped, warning, type Details, type Finding } from './rules/check.ts'
import { single, type CheckGroup } from './run-checks.ts'

const TOKEN_SETTING = 'REPLICATE_API_TOKEN'
const SECRET_SETTING = 'REPLICATE_WEBHOOK_SECRET'

/** Token, account and credit. `seen`: the last outcome of a request to Replicate. */
export function accountChecks(options: {
  /** Resolves once Replicate was asked. */
  account: () => Promise<unknown>
  seen: () => Seen | null
  /** Why creation is paused; null: nobody knows. */
  pause: (() => Promise<Pause | null>) | null
  /** The rate of creates; null: nobody knows. */
  rate: (() => Promise<CreateRate>) | null
  /** null: the simulator. */
  token: string | null
  /** Where the token is set. */
  setting?: string
  baseUrl: string
}): CheckGroup {
  const { account, seen, pause, rate, token, baseUrl, setting = TOKEN_SETTING } = options
  const { host } = new URL(baseUrl)

  async function credit(isAccepted: boolean): Promise<Finding> {
    if (token === null) return skipped('The simulator is used, which costs nothing.')
    if (pause === null) return skipped('Redis does not respond, so refusals of creates are unknown.')
    if (!isAccepted) return skipped('Replicate does not accept the account, so its credit is unknown.')
    const paused = await pause()
    if (paused?.reason === 'account')
      return failed(
        'Replicate refused a create for lack of credit (402). Creation is paused; no job fails.',
        'Buy credit at replicate.com/account/billing. Creation resumes by itself within a minute or a few.',
      )
    if (paused?.reason === 'rate_limited')
      return warning(
        'Replicate limits the rate of creates (429). With less than $5 of credit the limit is 6 a minute.',
        'Buy credit, or set REPLICATE_CREATES_PER_MINUTE to the limit of the account.',
      )
    const learned = await rate?.()
    if (learned && learned.quietSince !== null)
      return warning(
        `Replicate limits creates (429): ${shownRate(learned.perMinute)} of ${learned.ceiling} per minute are made at present. With less than $5 of credit the limit is 6 a minute.`,
        'Buy credit, or set REPLICATE_CREATES_PER_MINUTE to the limit of the account. The rate rises by itself when the limit is lifted.',
        { per_minute: shownRate(learned.perMinute), ceiling: learned.ceiling },
      )
    return ok('No create is refused for lack of credit. Replicate has no API that shows the balance.')
  }

  return {
    names: ['replicate', 'credit'],
    within: 25_000,
    async run() {
      await account()
      const last = seen()
      const status = last?.kind === 'answered' ? last.status : null
      const details = { host, status, token: token === null ? 'simulator' : 'set' }
      return { replicate: judgeAccount(last, host, { token, setting }, details), credit: await credit(status === 200) }
    },
  }
}

function judgeAccount(
  last: Seen | null,
  host: string,
  { token, setting }: { token: string | null; setting: string },
  details: Details,
): Finding {
  if (last === null || last.kind === 'unanswered')
    return failed(
      `${host} does not respond (${last?.reason ?? 'no request was sent'}).`,
      token === null
        ? 'Set REPLICATE_API_TOKEN, or start the service, which brings its simulator.'
        : 'Check name resolution, firewall and proxy of the workers, REPLICATE_BASE_URL, and the status page of Replicate.',
      details,
    )
  const { status } = last
  if (status === 200)
    return ok(token === null ? `The simulator at ${host} responds.` : `${host} accepts the token.`, details)
  if (status === 401)
    return failed(
      `${host} refuses the token (401).`,
      `Set ${setting} to a token of replicate.com/account/api-tokens, and restart workers and apis.`,
      details,
    )
  if (status === 402 || status === 403)
    return failed(
      `${host} refuses the account (${status}).`,
      'Check billing and permissions at replicate.com/account.',
      details,
    )
  if (status === 429)
    return warning(
      `${host} limits the rate of requests (429).`,
      'Wait a minute. Check what else uses the account.',
      details,
    )
  return failed(
    `${host} returns ${status}.`,
    'Check the status page of Replicate, and the proxy between the workers and REPLICATE_BASE_URL.',
    details,
  )
}

/** `setting`: where the secret is set. */
export const secretCheck = (
  secrets: Pick<WebhookSecrets, 'problem'>,
  isConfigured: boolean,
  setting = SECRET_SETTING,
): CheckGroup =>
  single('webhook_secret', async () => {
    const details = { source: isConfigured ? setting : 'fetched' }
    const problem = await secrets.problem()
    if (problem !== null)
      return failed(
        `${problem.charAt(0).toUpperCase()}${problem.slice(1)}.`,
        isConfigured
          ? `Unset ${setting} of the api, or set it to the secret of this account. Until then webhooks are refused, and jobs finish by polling.`
          : 'Correct what the check `replicate` names. Until then webhooks are refused, and jobs finish by polling.',
        details,
      )
    return ok(isConfigured ? `${setting} is set.` : 'The signing secret was fetched from Replicate.', details)
  })

/** One request for all checks that need its outcome. */
export function accountOf(
  { account }: Pick<PredictionPort, 'account'>,
  take: () => Promise<void>,
): () => Promise<unknown> {
  let asked: Promise<unknown> | null = null
  const ask = async (): Promise<unknown> => {
    await take()
    return account()
  }
  return () => {
    asked ??= ask().finally(() => {
      asked = null
    })
    return asked
  }
}

/** The same checks of each account as one: the worst findings, with the names of their accounts. */
export function ofAccounts(groups: ReadonlyMap<string, CheckGroup>): CheckGroup {
  const [first] = groups.values()
  if (first === undefined) throw new Error('there is no account')
  if (groups.size === 1) return first
  return {
    ...first,
    async run() {
      const all = await Promise.all(
        [...groups].map(async ([account, group]) => ({ account, findings: await group.run() })),
      )
      return Object.fromEntries(
        first.names.map((name) => [
          name,
          together(all.flatMap(({ account, findings: { [name]: found } }) => (found ? [{ account, ...found }] : []))),
        ]),
      )
    },
  }
}

function together(findings: readonly (Finding & { account: string })[]): Finding {
  const state = CHECK_STATES.find((one) => findings.some((finding) => finding.state === one)) ?? 'skipped'
  const worst = findings.filter((finding) => finding.state === state)
  return {
    state,
    seen: worst.map(({ account, seen }) => `Account ${account}: ${seen}`).join(' '),
    todo: worst[0]?.todo ?? null,
    details: { ...worst[0]?.details, accounts: findings.length },
  }
}
