/** Replicate's hosts of output files (source: its OpenAPI description, recorded responses). */
const DELIVERY = /^(?:[a-z0-9-]+\.)*replicate\.delivery$/

/** Path of the simulator's output files. */
const SIMULATED = '/files/'

/** Whether a link is `https://replicate.delivery/...`, independent of the configured upstream. */
export function isReplicateDelivery(link: string): boolean {
  if (!link.startsWith('https://') || /\s/.test(link) || !URL.canParse(link)) return false
  return DELIVERY.test(new URL(link).hostname)
}

/** Whether a link leads to output files of the configured upstream: Replicate's hosts, or the simulator's files. */
export function createDelivers(upstreamBaseUrl: string): (link: string) => boolean {
  const { origin } = new URL(upstreamBaseUrl)
  return (link) => isReplicateDelivery(link) || (link.startsWith(origin + SIMULATED) && !/\s/.test(link))
}
