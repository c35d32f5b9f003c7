import { ServiceError } from '../../shared/errors/service-error.ts'
import { isObject, type JsonObject } from '../../shared/values/json.ts'
import { parseJsonBody } from '../json-body.ts'

/** An object from a header or a form, under the rules of JSON bodies; or what is wrong with the text, after its name. */
export function readJsonObject(text: string): { object: JsonObject } | { problem: string } {
  let object: unknown
  try {
    object = text === '' ? null : parseJsonBody(Buffer.from(text))
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error
    const [field] = error.fields
    return { problem: field === undefined ? 'is not valid JSON' : `is not valid: ${field.pointer}: ${field.detail}` }
  }
  return isObject(object) ? { object } : { problem: 'needs a JSON object' }
}
