import type { DeliveryAttempt } from './notification.ts'

/** What the owner of an endpoint can do about an attempt; null: nothing, it was accepted. */
export function adviceOf({ status, error }: Pick<DeliveryAttempt, 'status' | 'error'>): string | null {
  if (status === null)
    return (error === null ? undefined : OF_ERROR[error]) ?? 'Check that the receiver can be reached.'
  if (status >= 200 && status < 300) return null
  const known = OF_STATUS[status]
  if (known !== undefined) return known
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
  endpoint_removed: 'The endpoint was deleted before this was delivered.',
}
