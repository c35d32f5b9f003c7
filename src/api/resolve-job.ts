import type { Catalogue, InputSchema } from '../shared/catalogue/catalogue.ts'
import { namedModel } from '../shared/catalogue/rules/named-model.ts'
import { POLICY_NAMES, RAW_POLICIES, subscribed, type Policies } from '../shared/catalogue/rules/policies.ts'
import { mergeInput, versionIdOf, type Preset } from '../shared/catalogue/rules/preset.ts'
import { ServiceError, type FieldError } from '../shared/errors/service-error.ts'
import type { Config } from '../shared/settings/config.ts'
import { freezeKeep, resolveKeep, type DeploymentKeep, type OwnKeep } from '../shared/jobs/rules/keep.ts'
import type { JobRecord } from '../shared/jobs/rules/job.ts'
import type { NewJob } from '../shared/jobs/rules/new-job.ts'
import { isObject, type JsonObject } from '../shared/values/json.ts'
import { pick } from '../shared/values/pick.ts'
import type { OwnWebhook } from '../shared/notifications/rules/own-webhook.ts'
import type { WebhookAllow } from '../shared/notifications/rules/webhook-url.ts'
import { ownWebhook } from './own-webhook.ts'
import { invalidRequest, jobRequestSchema, parseWith, type JobRequest } from './schemas.ts'

type Target = Pick<JobRecord, 'model' | 'version'>

/** Resolved request, stored in the job's record, so that presets can change while jobs run. */
export type ResolvedJob = Omit<NewJob, 'tenant' | 'account' | 'key_id' | 'retry_of'>

/**
 * Resolves a request, with or without a preset, and checks its input against the schema. Throws only `invalid_request` with
 * all errors, or `raw_models_disabled`. `at`: pointer of the request in the body, such as `/items/3`. `tenant`: retention
 * values that the tenant overrides.
 */
export type ResolveJob = (request: unknown, tenant: OwnKeep, at?: string) => Promise<ResolvedJob>

/**
 * The same for a create of Replicate's own API, which the caller has parsed. `model` may also be `preset/<name>`. A model that
 * a preset serves runs under it. As at Replicate, unknown fields of the input are dropped, and so are policies that the preset
 * sets. Pointers of errors name the fields of the request: `/model`, `/input/...`.
 */
export type ResolveCreate = (request: JobRequest, tenant: OwnKeep) => Promise<ResolvedJob>

/** Throws `raw_models_disabled` when jobs need a preset; applies to retries of earlier jobs too. */
export type MayRun = (preset: string | null) => void

export const createMayRun =
  (rawModels: Config['rawModels']): MayRun =>
  (preset) => {
    if (preset !== null || rawModels === 'allow') return
    const orModel = rawModels === 'presets' ? ', or a model that one of them serves' : ''
    throw new ServiceError('raw_models_disabled', `Jobs need a preset here${orModel}. GET /v1/presets lists them.`)
  }

export interface ResolveJobDependencies {
  catalogue: Catalogue
  mayRun: MayRun
  rawModels: Config['rawModels']
  keep: DeploymentKeep
  /** Where webhooks may be sent besides public https URLs. */
  webhookAllow: WebhookAllow
}

/** A resolved request, and what is wrong with it. */
interface Resolved {
  job: ResolvedJob | null
  wrong: FieldError[]
}

/** How a request names its preset, and whether it is taken as Replicate takes it. */
interface Named {
  preset: string
  field: 'preset' | 'model' | 'version'
  isLenient: boolean
}

/** The owner under which presets are models of Replicate's API: `preset/<name>`. */
export const PRESET_OWNER = 'preset'
const PRESET_MODEL = `${PRESET_OWNER}/`

export function createResolveJob({
  catalogue,
  mayRun,
  rawModels,
  keep: deployment,
  webhookAllow,
}: ResolveJobDependencies): {
  resolveJob: ResolveJob
  resolveCreate: ResolveCreate
} {
  return {
    async resolveJob(given, tenant, at = '') {
      const request = parseWith(jobRequestSchema, given, at)
      const { preset, model } = request
      const serving = rawModels === 'presets' && model !== undefined ? catalogue.serving(model) : null
      const name = preset ?? serving?.name ?? null
      mayRun(name)
      const { webhook, wrong } = ownWebhook(request.webhook, webhookAllow)
      const resolved = await (name === null
        ? raw(request, tenant, false)
        : byPreset({ preset: name, field: serving ? 'model' : 'preset', isLenient: false }, request, tenant))
      const job = ready({ ...resolved, wrong: [...resolved.wrong, ...wrong] }, at)
      return { ...job, ...withProgress(job, webhook) }
    },

    async resolveCreate(request, tenant) {
      const named = presetOf(request)
      mayRun(named?.preset ?? null)
      return ready(await (named === null ? raw(request, tenant, true) : byPreset(named, request, tenant)))
    },
  }

  function ready({ job, wrong }: Resolved, at = ''): ResolvedJob {
    if (job === null || wrong.length > 0)
      throw invalidRequest(wrong.map((field) => ({ ...field, pointer: at + field.pointer })))
    return job
  }

  /** The preset under which a create runs; null: none. */
  function presetOf({ model, version }: JobRequest): Named | null {
    if (model?.startsWith(PRESET_MODEL))
      return { preset: model.slice(PRESET_MODEL.length), field: 'model', isLenient: true }
    if (model !== undefined) {
      const serving = catalogue.serving(model)
      return serving && { preset: serving.name, field: 'model', isLenient: true }
    }
    const preset = pinnedBy(version)
    if (preset !== null) return { preset: preset.name, field: 'version', isLenient: true }
    // No preset has this version, so none has this name.
    return version?.startsWith(PRESET_MODEL)
      ? { preset: version.slice(PRESET_MODEL.length), field: 'version', isLenient: true }
      : null
  }

  /** The preset that has this version id, or serves a model and runs this version of it. */
  function pinnedBy(version: string | undefined): Preset | null {
    if (version === undefined) return null
    const [id, model] = version.split(':').toReversed()
    const named = catalogue.list().find((preset) => versionIdOf(preset) === id)
    if (named && (model === undefined || model === PRESET_MODEL + named.name)) return named
    const serving = model === undefined ? null : catalogue.serving(model)
    if (model !== undefined) return serving?.version === id ? serving : null
    return catalogue.list().find((preset) => preset.version === id && preset.serves.length > 0) ?? null
  }

  /** Retention of the job; reports values above the limits by `wrong`. */
  function keepFor(policies: Policies, request: JobRequest, tenant: OwnKeep) {
    const asked = policies.overrides.includes('keep') ? (request.keep ?? {}) : {}
    const { keep, wrong } = resolveKeep({ deployment, tenant, preset: policies.keep, job: asked })
    return { keep: freezeKeep(keep), wrong: wrong.map((field) => ({ ...field, pointer: `/keep${field.pointer}` })) }
  }

  async function raw(request: JobRequest, tenant: OwnKeep, isLenient: boolean): Promise<Resolved> {
    const { deployment: hardware = null, metadata, user = null } = request
    const { target, wrong: unknown } = await callable({
      model: request.model ?? null,
      version: request.version ?? null,
    })
    const [schema, shape, absent] = await Promise.all([
      rawSchema(target),
      catalogue.outputShape(target),
      absentDeployment(hardware),
    ])
    const { keep, wrong } = keepFor(RAW_POLICIES, request, tenant)
    const input = isLenient && schema !== null ? knownInput(request.input, schema.schema) : request.input
    return {
      job: {
        preset: null,
        ...target,
        deployment: hardware,
        input,
        metadata,
        user,
        ...turnOf(request),
        ...policiesOf(RAW_POLICIES, request),
        output_shape: shape,
        key_pattern: null,
        price: null,
        keep,
      },
      wrong: [...unknown, ...absent, ...wrong, ...inInput((await schema?.check(input)) ?? [])],
    }
  }

  /**
   * Target of a create: only official models run by their name, any other by its newest version. A model that is unknown
   * right now is left unchanged.
   */
  async function callable(target: Target): Promise<{ target: Target; wrong: FieldError[] }> {
    const found = target.model === null ? undefined : await catalogue.model(target.model)
    if (found === undefined || found?.official) return { target, wrong: [] }
    if (found !== null && found.version !== null)
      return { target: { model: null, version: `${target.model}:${found.version}` }, wrong: [] }
    const detail =
      found === null
        ? 'Replicate has no model of this name that the account can run.'
        : 'The model has no version that can be run.'
    return { target, wrong: [{ pointer: '/model', code: 'unknown_model', detail }] }
  }

  /** Error for a deployment that upstream does not have; none when upstream cannot be asked. */
  async function absentDeployment(name: string | null): Promise<FieldError[]> {
    if (name === null || (await catalogue.hasDeployment(name)) !== false) return []
    const detail = 'Replicate has no deployment of this name that the account can run.'
    return [{ pointer: '/deployment', code: 'unknown_deployment', detail }]
  }

  /** Model that the request names; null for a bare version or a deployment. */
  async function rawSchema(target: Target): Promise<InputSchema | null> {
    const named = namedModel(target)
    return named && catalogue.modelSchema(...named)
  }

  async function byPreset(
    { preset: name, field, isLenient }: Named,
    request: JobRequest,
    tenant: OwnKeep,
  ): Promise<Resolved> {
    const preset = catalogue.find(name)
    const pointer = `/${field}`
    if (preset === null)
      return {
        job: null,
        wrong: [{ pointer, code: 'unknown_preset', detail: 'The preset does not exist.' }],
      }
    const [schema, called, absent] = await Promise.all([
      catalogue.presetSchema(preset),
      callable(targetOf(preset)),
      absentDeployment(preset.deployment),
    ])
    const stated = preset.output
    // Clients of Replicate's own API expect a list where the schema says so.
    const ofModel =
      stated === null || (stated === 'text' && isLenient) ? await catalogue.outputShape(called.target) : null
    const { input, refused } = mergeInput(preset, request.input, schema?.schema ?? null)
    const wrongInput = isLenient ? refused.filter(({ code }) => code !== 'unknown_field') : refused
    const { keep, wrong } = keepFor(preset.policies, request, tenant)
    return {
      job: {
        preset: name,
        ...called.target,
        deployment: preset.deployment,
        input,
        metadata: request.metadata,
        user: request.user ?? null,
        ...turnOf(request),
        ...policiesOf(preset.policies, isLenient ? allowedPolicies(preset, request) : request),
        output_shape: stated ?? ofModel,
        ...(stated === null || ofModel === null ? {} : { output_is_list: ofModel === 'text' }),
        key_pattern: preset.key_pattern,
        price: preset.price,
        keep,
      },
      wrong: [
        ...[...called.wrong, ...absent].map((found) => ({ ...found, pointer })),
        ...(isLenient ? [] : refusedPolicies(preset, request)),
        ...wrong,
        ...inInput([...wrongInput, ...((await schema?.check(input)) ?? [])]),
      ],
    }
  }
}

/** The webhook of a job; one that hears of progress needs Replicate's news of it. */
export const withProgress = (
  { webhook_events }: Pick<ResolvedJob, 'webhook_events'>,
  webhook: OwnWebhook | null,
): Pick<ResolvedJob, 'webhook' | 'webhook_events'> => ({
  webhook,
  webhook_events: webhook?.events.includes('job.progress')
    ? subscribed([...webhook_events, 'output', 'logs'])
    : webhook_events,
})

const inInput = (fields: FieldError[]): FieldError[] =>
  fields.map((field) => ({ ...field, pointer: `/input${field.pointer}` }))

/** A version is run by its id, everything else by its name. */
const targetOf = ({ model, version }: Preset): Target => ({
  model: version === null ? model : null,
  version: version === null ? null : `${model}:${version}`,
})

/** The policies of a job: those of its request, and those of its preset where the request sets none; without retention. */
function policiesOf(
  { overrides: _overrides, keep: _keep, concurrency: _all, per_tenant: _each, ...policies }: Policies,
  request: Pick<JobRequest, (typeof POLICY_NAMES)[number]>,
) {
  const { keep: _own, ...asked } = pick(request, POLICY_NAMES)
  const given = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined))
  const webhook_events = subscribed(request.webhook_events ?? policies.webhook_events)
  return { ...policies, ...given, webhook_events }
}

const allowedPolicies = ({ policies }: Preset, request: JobRequest) => pick(request, policies.overrides)

/** The input without fields that the schema of the model refuses because it does not know them. */
function knownInput(input: JsonObject, { properties, additionalProperties }: JsonObject): JsonObject {
  if (additionalProperties !== false || !isObject(properties)) return input
  return Object.fromEntries(Object.entries(input).filter(([name]) => Object.hasOwn(properties, name)))
}

const refusedPolicies = ({ policies }: Preset, request: JobRequest): FieldError[] =>
  POLICY_NAMES.filter((name) => request[name] !== undefined && !policies.overrides.includes(name)).map((name) => ({
    pointer: `/${name}`,
    code: 'not_allowed',
    detail: 'The preset sets this.',
  }))

/** When the job may start, and before which others. */
const turnOf = (request: JobRequest): Pick<NewJob, 'priority' | 'not_before'> => ({
  priority: request.priority ?? 'interactive',
  not_before: request.not_before ?? null,
})
