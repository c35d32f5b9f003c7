/** Removes secrets from what is recorded: a recording is a file that is committed. */

const TOKEN = /\b(?:r8|hf)_[A-Za-z0-9]{8,}/g
const SIGNING_SECRET = /whsec_[A-Za-z0-9+/]{8,}={0,2}/g
const SIGNATURE = /([?&](?:signature|X-Goog-Signature|X-Amz-Signature|token)=)[^&"\s\\]+/gi
/** Fields of an input or a body whose text is a secret. */
const SECRET_FIELD = /(?:^|[_-]|(?<=[a-z]))(?:token|secret|password|passwd|api_?key|credentials?|authorization)$/i

const REMOVED = 'removed'
/** A valid secret that signs nothing: clients check its form. */
const NO_SECRET = `whsec_${Buffer.alloc(24).toString('base64')}`

/** @param tokens what else must not be in it, such as the tokens that were sent */
export function scrubText(text: string, tokens: Iterable<string>): string {
  let scrubbed = text
  for (const token of tokens) if (token !== '') scrubbed = scrubbed.replaceAll(token, REMOVED)
  return scrubbed
    .replace(TOKEN, REMOVED)
    .replace(SIGNING_SECRET, NO_SECRET)
    .replace(SIGNATURE, (_, name: string) => `${name}${REMOVED}`)
}

/** The same for parsed JSON, with the fields whose names say that they are secrets. */
export function scrubJson(value: unknown, tokens: Iterable<string>): unknown {
  const all = [...tokens]
  const scrub = (part: unknown, name: string): unknown => {
    if (typeof part === 'string') {
      if (name === 'webhook') return withoutQuery(scrubText(part, all))
      return SECRET_FIELD.test(name) && part !== '' ? REMOVED : scrubText(part, all)
    }
    if (Array.isArray(part)) return part.map((one) => scrub(one, name))
    if (typeof part !== 'object' || part === null) return part
    return Object.fromEntries(Object.entries(part).map(([key, inner]) => [key, scrub(inner, key)]))
  }
  return scrub(value, '')
}

/** What receives webhooks often knows them by a secret in their address. */
function withoutQuery(address: string): string {
  const url = URL.parse(address)
  if (url === null) return address
  for (const part of ['username', 'password', 'search', 'hash'] as const) url[part] = ''
  return url.href
}
