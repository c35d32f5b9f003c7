import { ServiceError } from '../../shared/errors/service-error.ts'
import type { JsonObject } from '../../shared/values/json.ts'
import type { OwnedRequest } from '../http.ts'
import { MAX_WAIT_S, preferredWait } from '../prefer.ts'
import { readJsonObject } from './json-object.ts'

/** Headers of a create, as Replicate defines them, and one of ours. */

const MIN_CANCEL_AFTER_S = 5
const MAX_CANCEL_AFTER_S = 7 * 86_400
const MAX_METADATA_BYTES = 4 * 1024

/** Seconds of `Cancel-After`, such as `30`, `90s`, `5m` and `1h30m45s`; null without it. */
export function cancelAfterOf({ headers }: Pick<OwnedRequest, 'headers'>): number | null {
  const given = headers['cancel-after']?.trim()
  if (given === undefined) return null
  const [, plain, hours = 0, minutes = 0, seconds = 0] =
    /^(?:(\d+)|(?=\d)(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?)$/.exec(given) ?? []
  const total = plain === undefined ? Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds) : Number(plain)
  if (total >= MIN_CANCEL_AFTER_S && total <= MAX_CANCEL_AFTER_S) return total
  throw new ServiceError(
    'invalid_header',
    `Cancel-After needs a duration such as 30s, 5m or 1h30m, from ${MIN_CANCEL_AFTER_S} seconds to 7 days.`,
  )
}

export interface WaitPreference {
  seconds: number
  /** Value of `Preference-Applied`. */
  applied: string
}

/** `Prefer: wait` or `wait=n`, at most 60 seconds, which longer ones become; null for any other preference. */
export function waitOf(request: Pick<OwnedRequest, 'headers'>): WaitPreference | null {
  const wait = preferredWait(request)
  if (wait === null || wait.seconds < 1) return null
  const seconds = Math.min(MAX_WAIT_S, wait.seconds)
  return { seconds, applied: wait.isPlain ? 'wait' : `wait=${seconds}` }
}

/** `Genqueue-Metadata`: a JSON object of up to 4 kB, which the job has as its `metadata`. */
export function metadataOf({ headers }: Pick<OwnedRequest, 'headers'>): JsonObject {
  const given = headers['genqueue-metadata']
  if (given === undefined) return {}
  const text = headerText(given)
  if (Buffer.byteLength(text) > MAX_METADATA_BYTES) throw wrongMetadata(`is limited to ${MAX_METADATA_BYTES} bytes`)
  const read = readJsonObject(text)
  if ('problem' in read) throw wrongMetadata(read.problem)
  return read.object
}

/** Node reads headers as latin1. Some clients send that, others UTF-8. */
function headerText(given: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(given, 'latin1'))
  } catch {
    return given
  }
}

const wrongMetadata = (problem: string): ServiceError =>
  new ServiceError('invalid_header', `Genqueue-Metadata ${problem.replace(/\.$/, '')}.`)
