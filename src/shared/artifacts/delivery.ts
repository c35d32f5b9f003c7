/** Replicate's own hosts of output files (its OpenAPI description, recorded answers). */
const DELIVERY = /^(?:[a-z0-9-]+\.)*replicate\.delivery$/

/** Under which path the simulator has its output files. */
const SIMULATED = '/files/'

/** `https://replicate.delivery/...`, whatever upstream this deployment has. */
export function isReplicateDelivery(link: string): boolean {
  if (!link.startsWith('https://') || /\s/.test(link) || !URL.canParse(link)) return false
  return DELIVERY.test(new URL(link).hostname)
}

/** Whether a link leads to output files of the configured upstream: Replicate's hosts, or the simulator's files. */
export function createDelivers(upstreamBaseUrl: string): (link: string) => boolean {
  const { origin } = new URL(upstreamBaseUrl)
  return (link) => isReplicateDelivery(link) || (link.startsWith(origin + SIMULATED) && !/\s/.test(link))
}
