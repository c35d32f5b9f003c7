import { ServiceError } from '../../shared/errors/service-error.ts'
import { FRONT } from './path.ts'

/** Operations of Replicate's API that have no meaning for our jobs. */

const TRAININGS = 'Trainings are not served here. Use the API of Replicate itself.'
const CHANGES = 'Models and deployments cannot be changed here. Use the API of Replicate itself.'

const NOT_SERVED: readonly [methods: RegExp, path: RegExp, detail: string][] = [
  [/./, /^\/trainings(\/|$)/, TRAININGS],
  [/^POST$/, /^\/models\/[^/]+\/[^/]+\/versions\/[^/]+\/trainings$/, TRAININGS],
  [/^(POST|PATCH|PUT|DELETE)$/, /^\/(models|deployments)(\/[^/]+\/[^/]+)?(\/versions\/[^/]+)?$/, CHANGES],
]

/** The 404 of an operation that Replicate has and we do not; null: there is none here. */
export function notServed(method: string, path: string): ServiceError | null {
  const below = path.startsWith(FRONT) ? path.slice(FRONT.length) : ''
  const found = NOT_SERVED.find(([methods, pattern]) => methods.test(method) && pattern.test(below))
  return found ? new ServiceError('not_found', found[2]) : null
}

export const NOT_FOUND = 'The requested resource could not be found.'
export const noSuchResource = (): ServiceError => new ServiceError('not_found', NOT_FOUND)
