import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { bareHost } from '../values/addresses.ts'
import { hasCode } from '../values/error-text.ts'
import { isAllowedForWebhook, webhookUrlProblem, type WebhookAllow } from './rules/webhook-url.ts'

/** Finds the addresses of a name; [] when there is no such name. Throws when that is not known. */
export type FindAddresses = (host: string) => Promise<string[]>

export const findAddresses: FindAddresses = async (host) => {
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address)
  } catch (error) {
    if (hasCode(error, 'ENOTFOUND')) return []
    throw error
  }
}

/**
 * Describes the problem of a URL to which webhooks should be sent; null when it is allowed. Also checks the addresses of its host, so
 * that a mistake shows when the URL is saved. Each delivery checks again: a name can get another address.
 */
export async function checkWebhookUrl(
  text: string,
  allow: WebhookAllow,
  find: FindAddresses = findAddresses,
): Promise<string | null> {
  const problem = webhookUrlProblem(text, allow)
  if (problem !== null) return problem
  const host = bareHost(new URL(text).hostname)
  if (isIP(host) !== 0) return null
  let addresses: string[]
  try {
    addresses = await find(host)
  } catch {
    // The resolver is in trouble, which says nothing about the URL.
    return null
  }
  if (addresses.length === 0) return `The name ${host} does not exist.`
  const forbidden = addresses.find((address) => !isAllowedForWebhook(host, address, allow))
  return forbidden === undefined
    ? null
    : `${host} leads to ${forbidden}, which is not a public address. The operator can allow it with WEBHOOK_ALLOW.`
}
