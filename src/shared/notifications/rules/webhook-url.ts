import { addressClass, bareHost, isMetadataName, isWithin, rangeOf, type AddressRange } from '../../values/addresses.ts'

/**
 * Where webhooks may be sent: public https URLs, and what the operator allows (`WEBHOOK_ALLOW`). One rule for the save, the
 * test and each delivery. The URL is checked as WHATWG parses it, so every spelling of an address is the same; the
 * addresses of a name are checked when connecting.
 */

/** For which hosts http and private addresses are allowed, too. */
export interface WebhookAllow {
  /** Names in lower case. */
  hosts: string[]
  ranges: AddressRange[]
}

/** Characters of a URL. */
const MAX_URL = 2048
/** Programs of this machine. */
export const LOOPBACK_WEBHOOKS: WebhookAllow = {
  hosts: ['localhost'],
  ranges: ['127.0.0.0/8', '::1/128'].map(rangeOf).filter((range) => range !== null),
}
const HOST_NAME = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$/

/**
 * Parses a comma-separated list of `loopback`, host names, addresses and CIDRs; null: an entry is none of them, or begins with an
 * address that is never allowed.
 */
export function readWebhookAllow(list: string): WebhookAllow | null {
  const entries = list.split(',').map((entry) => entry.trim().toLowerCase())
  const allow: WebhookAllow = { hosts: [], ranges: [] }
  for (const entry of entries) {
    const range = rangeOf(entry)
    if (entry === 'loopback') {
      allow.hosts.push(...LOOPBACK_WEBHOOKS.hosts)
      allow.ranges.push(...LOOPBACK_WEBHOOKS.ranges)
    } else if (range !== null) {
      if (addressClass(range[0].toString()) === 'never') return null
      allow.ranges.push(range)
    } else {
      // A last part of digits makes it a mistyped address.
      if (!HOST_NAME.test(entry) || /(?:^|\.)\d+$/.test(entry) || isMetadataName(entry)) return null
      allow.hosts.push(entry)
    }
  }
  return allow
}

/** Describes the problem of a URL to which webhooks should be sent; null when it is allowed. */
export function webhookUrlProblem(text: string, allow: WebhookAllow): string | null {
  if (text.length > MAX_URL) return `The URL has ${text.length} characters. The limit is ${MAX_URL}.`
  const url = URL.parse(text)
  if (url === null || !['https:', 'http:'].includes(url.protocol)) return 'Expected an https URL.'
  if (url.username !== '' || url.password !== '') return 'The URL must not have credentials.'
  const host = bareHost(url.hostname)
  if (isMetadataName(host)) return `Webhooks are never sent to ${host}.`
  const kind = addressClass(host)
  const isNamed = isAllowedName(host, allow) || (kind !== null && isWithin(host, allow.ranges))
  if (kind === 'never') return `Webhooks are never sent to ${host}: it is a link-local, multicast or metadata address.`
  if (!isNamed) {
    if (kind === 'private' || /(?:^|\.)localhost$/.test(host))
      return `${host} is not a public address. The operator can allow it with WEBHOOK_ALLOW.`
    if (url.protocol === 'http:')
      return 'Expected an https URL. The operator can allow http for a host with WEBHOOK_ALLOW.'
    const port = url.port === '' ? 443 : Number(url.port)
    if (port < 1024 && port !== 443) return `Webhooks are not sent to port ${port}. Use 443, or one from 1024 on.`
  }
  return null
}

const isAllowedName = (host: string, { hosts }: WebhookAllow): boolean => hosts.includes(host)

/** Whether a webhook for this host may connect to an address of it. */
export function isAllowedForWebhook(host: string, address: string, allow: WebhookAllow): boolean {
  const kind = addressClass(address)
  if (kind === null || kind === 'never') return false
  return kind === 'public' || isAllowedName(bareHost(host), allow) || isWithin(address, allow.ranges)
}
