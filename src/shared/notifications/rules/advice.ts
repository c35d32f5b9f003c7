import type { DeliveryAttempt } from './notification.ts'

/** What the owner of an endpoint can do about an attempt; null: nothing, it was accepted. */
export function adviceOf({ status, error }: Pick<DeliveryAttempt, 'status' | 'error'>): string | null {
  const known = error === null ? undefined : OF_ERROR[error]
  if (status === null || known !== undefined) return known ?? 'Check that the receiver can be reached.'
  if (status >= 200 && status < 300) return null
  const ofStatus = OF_STATUS[status]
  if (ofStatus !== undefined) return ofStatus
  if (status < 400) return REDIRECT
  return status < 500
    ? 'The receiver refuses the request. Its log should say why.'
    : 'The receiver, or the proxy in front of it, failed. Its log should say why.'
}

const REDIRECT = 'Redirects are not followed. Save the URL to which this one leads.'
const REFUSED =
  'The receiver refuses the request. Compare its secret with that of the endpoint, and let it check the signature of the raw body. Webhooks send no other credentials.'

const OF_STATUS: Record<number, string> = {
  401: REFUSED,
  403: REFUSED,
  404: 'The path does not exist at the receiver. Check the path of the URL, and that the tunnel or deployment behind it still exists.',
  405: 'The receiver does not accept POST at this path. Check the path of the URL.',
  410: 'The receiver says that the URL is gone for good, which disables the endpoint. Change the URL, or enable it again.',
  413: 'The receiver, or the proxy in front of it, limits the size of a body. Raise the limit, or choose the payload `thin`.',
  415: 'The receiver does not accept `application/json`. Let it read the raw body.',
  429: 'The receiver limits the rate. Deliveries continue more slowly.',
  502: 'The proxy in front of the receiver cannot reach it. Check that the receiver runs.',
  503: 'The receiver, or the proxy in front of it, is not available. Deliveries continue by themselves.',
  504: 'The proxy in front of the receiver waited in vain. Answer first, and do the work afterwards.',
}

const OF_ERROR: Record<string, string> = {
  timeout: 'The receiver did not respond within 15 seconds. Answer with 2xx first, and do the work afterwards.',
  dns: 'The name of the host cannot be resolved. Check the URL.',
  tls: 'No secure connection. Check that the certificate is valid for this name, complete and not expired.',
  refused: 'Nothing listens at this host and port. Check the URL, and that the receiver runs.',
  reset: 'The connection was closed without a response. Check the receiver and the proxy in front of it.',
  forbidden_address:
    'The URL leads to an address to which nothing is sent. The operator can allow private addresses with WEBHOOK_ALLOW.',
  no_content:
    'The text to send could not be made from the record of the job. The operator finds the reason in the log of the worker.',
  refused_for_good:
    'The mail server of the recipient does not accept the mail. Its reply says why: an address that does not exist, or a mail that it takes for unwanted.',
  deferred: 'The mail server asks to send the mail later. Deliveries continue by themselves.',
  server_refused:
    'The mail server refuses this service. The operator has to correct SMTP_URL or MAIL_FROM; `genqueue doctor` checks them.',
  no_recipient: 'The metadata of the job or batch has no text under this key. Submit the address with the job.',
  invalid_recipient: 'The text under this key is not an address of mail, such as ada@example.com.',
  metadata_not_allowed:
    'The tenant may not write to addresses of the metadata. The operator can allow it (`mail_to_metadata`).',
  not_confirmed: 'The address is not confirmed. Request another confirmation mail.',
  unsubscribed:
    'The recipient wants no mail of this tenant. Only the recipient can change that, by the link in an earlier mail.',
  endpoint_removed: 'The endpoint was deleted before this was delivered.',
}
