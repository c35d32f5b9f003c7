import { z } from 'zod'
import { OUTPUT_KINDS } from '../../shared/artifacts/rules/output-shape.ts'
import { SCHEMA_PROBLEMS } from '../../shared/catalogue/rules/schema-problem.ts'
import { policyName } from '../../shared/catalogue/rules/policies.ts'
import { priceRuleSchema } from '../../shared/credits/rules/price.ts'
import { ON_UNKNOWN, STORE_POLICIES, webhookEvent } from '../../shared/jobs/rules/job.ts'
import { jobKeep, jsonObject, onlyPageOf } from './common.ts'

/** Presets and models as the API shows them. */

export const schemaProblem = z.enum(SCHEMA_PROBLEMS).meta({
  id: 'SchemaProblem',
  description: "Why the model's schema is not used, so that inputs are not checked at submission.",
})
const problemOrNull = schemaProblem
  .nullable()
  .describe(
    "Why the model's schema is not used and inputs are not validated at submission. Null if the schema is used, or not known yet.",
  )

export const preset = z
  .object({
    name: z.string(),
    title: z.string(),
    description: z.string(),
    model: z.string().nullable().describe('`owner/name`; null for a preset with a deployment.'),
    version: z.string().nullable().describe('Version of the model; null: the official one.'),
    deployment: z.string().nullable(),
    serves: z
      .array(z.string())
      .describe(
        "Models, `owner/name`, whose creates at Replicate's own API run under this preset; so do jobs of them here where `RAW_MODELS` is `presets`.",
      ),
    input_schema: jsonObject
      .nullable()
      .describe(
        'JSON Schema of the `input` that a job may contain, with the defaults of the preset. Null while the schema of the model is unavailable.',
      ),
    schema_sha256: z
      .string()
      .nullable()
      .describe('SHA-256 of the schema of the complete input, without titles and descriptions.'),
    schema_problem: problemOrNull,
    defaults: jsonObject.describe('Default values of the input.'),
    fixed: jsonObject.describe('Input fields that are set in every job.'),
    overrides: z.array(z.string()).describe('The input fields that a job may set.'),
    output: z
      .enum(OUTPUT_KINDS)
      .nullable()
      .describe('Meaning of the output; null applies the Output schema of the model.'),
    key_pattern: z
      .string()
      .nullable()
      .describe('Pattern of file names in a bucket; null applies the pattern of the deployment.'),
    price: priceRuleSchema.nullable().describe('null: jobs of the preset have no price.'),
    estimate: z.int().nullable().describe('Micro-credits that are held for a job with the default input.'),
    timeout: z.int().describe('Seconds.'),
    start_within: z.int().describe('Seconds.'),
    webhook_events: z.array(webhookEvent),
    on_unknown: z.enum(ON_UNKNOWN),
    store: z.enum(STORE_POLICIES),
    keep: z
      .object({
        payload: jobKeep.shape.payload.exactOptional(),
        job: jobKeep.shape.job.exactOptional(),
        files: jobKeep.shape.files.exactOptional(),
      })
      .describe('Retention of its jobs. Absent clocks have the value of the level above.'),
    resubmit_limit: z.int().describe("Maximum number of resubmissions after failures of Replicate's platform."),
    concurrency: z
      .int()
      .nullable()
      .describe('Maximum number of its jobs in flight, of all tenants together; null: none.'),
    per_tenant: z.int().nullable().describe('Maximum number of its jobs in flight, of each tenant; null: none.'),
    charge_canceled: z.boolean().describe('Whether a job that is canceled after its start is charged.'),
    policy_overrides: z.array(policyName).describe('The policies that a job may set.'),
    run_time: z
      .object({
        p50: z.number().describe('The median run time.'),
        p90: z.number().describe('The 90th percentile of the run times.'),
      })
      .nullable()
      .describe('Recent run times of the model, in seconds; null if fewer than five runs are known.'),
  })
  .meta({ id: 'Preset', description: 'A named recipe for jobs.' })
export type Preset = z.output<typeof preset>

export const presetPage = onlyPageOf('PresetPage', preset)

export const model = z
  .object({
    name: z.string().describe('`owner/name`'),
    description: z.string().nullable(),
    official: z.boolean().describe('Official models are submitted by name, other models by `version`.'),
    version: z.string().nullable(),
    input_schema: jsonObject.describe(
      'JSON Schema of `input`, as Replicate publishes it (`x-order`, enums by `allOf`); its references resolve in `schemas`.',
    ),
    schemas: jsonObject.describe('`components.schemas` of the version.'),
    schema_problem: problemOrNull,
  })
  .meta({ id: 'Model' })
export type Model = z.output<typeof model>

export const modelPage = onlyPageOf('ModelPage', model)
