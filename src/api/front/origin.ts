import type { ApiRequest } from '../http.ts'

/** The origin by which the client addressed this service, behind a trusted proxy too. */
export const originOf = ({ secure, host = 'localhost' }: Pick<ApiRequest, 'secure' | 'host'>): string =>
  `${secure ? 'https' : 'http'}://${host}`
