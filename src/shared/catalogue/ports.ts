import type { FieldError } from '../errors/service-error.ts'
import type { JsonObject } from '../values/json.ts'

/** Returns all errors of an input, each with a JSON pointer into it; empty when it is valid. */
export type InputCheck = (input: JsonObject) => FieldError[]

/** Returns the check of a schema in the form that plainSchema returns. Throws when the schema cannot be compiled. */
export type InputChecks = (schema: JsonObject) => InputCheck
