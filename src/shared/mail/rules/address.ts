/** Addresses of mail, as strict as mail servers accept them: ASCII, without comments, quotes and literals. */

export interface Mailbox {
  /** '' for none */
  name: string
  address: string
}

const ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`|~-]+"
const LABEL = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?'
const ADDRESS = new RegExp(`^(?=.{3,254}$)(?=[^@]{1,64}@)${ATOM}(?:\\.${ATOM})*@(?:${LABEL}\\.)+[A-Za-z]${LABEL}$`)

export const isAddress = (text: string): boolean => ADDRESS.test(text)

/** The same for addresses that differ in case only, which reach the same person. */
export const addressKey = (address: string): string => address.toLowerCase()

/** What follows `mailto:` in the URL of an endpoint; null: it is another URL. */
export const mailTargetOf = (url: string): string | null => (/^mailto:/i.test(url) ? url.slice('mailto:'.length) : null)
export const mailUrl = (target: string): string => `mailto:${target}`

const METADATA = /^\{metadata\.([A-Za-z0-9_-]{1,100})\}$/

/** The key of `{metadata.<key>}`, which names the recipient of each job or batch; null: it is an address. */
export const metadataKeyOf = (target: string): string | null => METADATA.exec(target)?.[1] ?? null

/** Reads `ada@example.com` or `Ada Lovelace <ada@example.com>`; null: it is neither. */
export function readMailbox(text: string): Mailbox | null {
  const [, name = '', named] = /^([^<>"\\,;:@\p{C}]*)<([^<>]*)>$/u.exec(text.trim()) ?? []
  const address = named ?? text.trim()
  return isAddress(address) ? { name: name.trim(), address } : null
}
