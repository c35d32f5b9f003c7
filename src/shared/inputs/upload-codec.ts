import { z } from 'zod'
import { NewerRecordError } from '../jobs/record/record-codec.ts'
import type { UploadRecord } from './rules/upload.ts'
import { ZOD_ERRORS } from '../errors/zod-errors.ts'

const aboutSchema = z.object({ name: z.string(), metadata: z.record(z.string(), z.json()), md5: z.string() })

const uploadSchema: z.ZodType<UploadRecord> = z.object({
  v: z.literal(1),
  id: z.string(),
  tenant: z.string(),
  state: z.enum(['writing', 'ready', 'removing']),
  key: z.string(),
  media_type: z.string(),
  bytes: z.coerce.number(),
  sha256: z.string(),
  created_at: z.coerce.number(),
  expires_at: z.coerce.number(),
  about: z
    .string()
    .optional()
    .transform((text) => (text === undefined ? null : aboutSchema.parse(JSON.parse(text)))),
})

/** Decodes the record of a hash; null when there is none. Throws NewerRecordError. */
export function decodeUpload(fields: Record<string, string>): UploadRecord | null {
  if (Object.keys(fields).length === 0) return null
  const v = Number(fields.v)
  if (v > 1) throw new NewerRecordError(`an upload of version ${v}`)
  return uploadSchema.parse({ ...fields, v }, ZOD_ERRORS)
}
