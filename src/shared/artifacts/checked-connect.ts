import { isIP } from 'node:net'
import { buildConnector } from 'undici'
import { bareHost } from '../values/addresses.ts'
import { resolvePublicAddress, type Lookup } from './public-address.ts'

export interface CheckedConnectOptions {
  /** ms */
  timeout: number
  /** Whether an address of the host may be connected to; absent: public addresses. */
  isAllowed?: (host: string, address: string) => boolean
  /** Absent: the resolver of the system. */
  lookup?: Lookup | undefined
}

/**
 * Connector of undici that checks every address of a host and connects to a checked one. `Host` and SNI stay those of the URL.
 * Connections fail with ForbiddenAddressError where an address is not allowed.
 */
export function createCheckedConnect({ timeout, isAllowed, lookup }: CheckedConnectOptions): buildConnector.connector {
  const connect = buildConnector({ timeout })
  return (target, callback) => {
    const begin = async (): Promise<void> => {
      const host = target.hostname
      const address = await resolvePublicAddress(host, isAllowed && ((one) => isAllowed(host, one)), lookup)
      // An address has no server name.
      const name = isIP(bareHost(host)) === 0 && !target.servername ? { servername: host } : {}
      connect({ ...target, hostname: address, ...name }, callback)
    }
    begin().catch((error: unknown) => {
      // oxlint-disable-next-line promise/no-callback-in-promise -- undici's connectors are callbacks
      callback(error instanceof Error ? error : new Error(String(error)), null)
    })
  }
}
