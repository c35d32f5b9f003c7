/** Replicate's hosts of streams (source: recorded predictions). */
const HOST = /^(?:[a-z0-9-]+\.)*replicate\.(?:com|net|delivery)$/

/** Whether a stream may be read at this address: at Replicate's hosts over TLS, or at the configured upstream itself. */
export function isStreamHost(url: string, baseUrl: string): boolean {
  if (!URL.canParse(url)) return false
  const { origin, protocol, hostname } = new URL(url)
  return origin === new URL(baseUrl).origin || (protocol === 'https:' && HOST.test(hostname))
}
