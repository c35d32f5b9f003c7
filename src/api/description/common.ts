import { z } from 'zod'
import { UPLOAD_ID } from '../../shared/inputs/rules/reference.ts'
import { TENANT_ID } from '../../shared/tenants/rules/tenant.ts'
import { isObject, type JsonObject } from '../../shared/values/json.ts'

/**
 * Schemas that requests and responses share. `meta.id` makes a schema a component of the document; a `meta` in general is
 * copied into its JSON Schema.
 */

export const jsonObject = z.custom<JsonObject>(isObject).meta({ type: 'object' })

export const time = z.string().meta({ id: 'Time', format: 'date-time', examples: ['2026-01-31T12:00:00.000Z'] })
export const timeOrNull = time.nullable()
/** A day of UTC. */
export const day = z.string().meta({ format: 'date' })
export const sha256 = z.string().regex(/^[0-9a-f]{64}$/)

export const artifactId = z
  .string()
  .regex(/^art_[0-9A-HJKMNP-TV-Z]{26}_\d+_\d+$/)
  .meta({ id: 'ArtifactId', examples: ['art_01KGX5Q8Z2V7M4N6P9R3S5T8W1_1_0'] })
export const uploadId = z
  .string()
  .regex(UPLOAD_ID)
  .meta({ id: 'UploadId', examples: ['upl_01KGX5QC7P4R8S2T6V9W3X5Y1Z'] })
export const tenantName = z
  .string()
  .regex(TENANT_ID)
  .meta({ id: 'TenantName', examples: ['story-app'] })

export const duration = z
  .string()
  .regex(/^\d{1,6}[smhd]$/)
  .meta({ id: 'Duration', description: 'From 1m to 365d.', examples: ['24h'] })
export const durationOrForever = z
  .string()
  .regex(/^(?:\d{1,6}[smhd]|forever)$/)
  .meta({ id: 'DurationOrForever', description: 'From 1m to 3650d, or `forever`.', examples: ['30d'] })

export const jobKeep = z
  .object({
    payload: duration.describe('Input and output in the record, and files that only this input names.'),
    job: duration.describe('The record.'),
    files: durationOrForever.describe('The output files: as long as the record, or longer.'),
  })
  .meta({
    id: 'JobKeep',
    description:
      'How long parts of a job are kept after its completion: a whole number with `s`, `m`, `h` or `d`. Always payload <= job <= files.',
  })
export type JobKeep = z.output<typeof jobKeep>

/** A page of a list. */
export const pageOf = <T extends z.ZodType>(id: string, item: T) =>
  z.object({ data: z.array(item), next_cursor: z.string().nullable().describe('null on the last page.') }).meta({ id })

/** A list that is always complete. */
export const onlyPageOf = <T extends z.ZodType>(id: string, item: T) =>
  z.object({ data: z.array(item), next_cursor: z.null() }).meta({ id })
