/** Names of Replicate's hosts, as its clients meet them: the API, streams, and the files of outputs. */

export const REPLICATE_API = 'https://api.replicate.com'
const STREAMS = 'https://stream.replicate.com'
const DELIVERY = 'https://replicate.delivery'

/** For a certificate. */
export const REPLICATE_HOSTS = [
  'api.replicate.com',
  'stream.replicate.com',
  'replicate.delivery',
  '*.replicate.delivery',
] as const

const HOST = /^(?:(?:api|stream[\w-]*)\.replicate\.com|(?:[\w-]+\.)*replicate\.delivery)$/

export const isReplicateHost = (host: string): boolean => HOST.test(host)

/** Where output files have their URLs, and streams theirs, for a client of this origin. */
export const filesOrigin = (origin: string): string => (origin === REPLICATE_API ? DELIVERY : origin)
export const streamsOrigin = (origin: string): string => (origin === REPLICATE_API ? STREAMS : origin)
