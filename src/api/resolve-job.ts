import type { Catalogue, InputSchema } from '../shared/catalogue/catalogue.ts'
import { namedModel } from '../shared/catalogue/output-shapes.ts'
import { POLICY_NAMES, RAW_POLICIES, subscribed, type Policies } from '../shared/catalogue/rules/policies.ts'
import { mergeInput, type Preset } from '../shared/catalogue/rules/preset.ts'
import { ServiceError, type FieldError } from '../shared/errors/service-error.ts'
import { freezeKeep, resolveKeep, type DeploymentKeep, type OwnKeep } from '../shared/jobs/rules/keep.ts'
import type { JobRecord } from '../shared/jobs/rules/job.ts'
import type { NewJob } from '../shared/jobs/rules/new-job.ts'
import { pick } from '../shared/values/pick.ts'
import { invalidRequest, jobRequestSchema, parseWith, type JobRequest } from './schemas.ts'

type Target = Pick<JobRecord, 'model' | 'version'>

/** Resolved request, stored in the job's record, so that presets can change while jobs run. */
export type ResolvedJob = Omit<NewJob, 'tenant' | 'account' | 'retry_of'>

/**
 * Resolves a request, with or without a preset, and checks its input against the schema. Throws only `invalid_request` with
 * all errors, or `raw_models_disabled`. `at`: pointer of the request in the body, such as `/items/3`. `tenant`: retention
 * values that the tenant overrides.
 */
export type ResolveJob = (request: unknown, tenant: OwnKeep, at?: string) => Promise<ResolvedJob>

/** Throws `raw_models_disabled` when jobs need a preset; applies to retries of earlier jobs too. */
export type MayRun = (preset: string | null) => void

export const createMayRun =
  (allowRawModels: boolean): MayRun =>
  (preset) => {
    if (preset === null && !allowRawModels)
      throw new ServiceError('raw_models_disabled', 'Jobs need a preset here. GET /v1/presets lists them.')
  }

export interface ResolveJobDependencies {
  catalogue: Catalogue
  mayRun: MayRun
  keep: DeploymentKeep
}

export function createResolveJob({ catalogue, mayRun, keep: deployment }: ResolveJobDependencies): ResolveJob {
  return async (given, tenant, at = '') => {
    const request = parseWith(jobRequestSchema, given, at)
    mayRun(request.preset ?? null)
    const { job, wrong } = await (request.preset === undefined
      ? raw(request, tenant)
      : byPreset(request.preset, request, tenant))
    if (job === null || wrong.length > 0)
      throw invalidRequest(wrong.map((field) => ({ ...field, pointer: at + field.pointer })))
    return job
  }

  /** Retention of the job; reports values above the limits by `wrong`. */
  function keepFor(policies: Policies, request: JobRequest, tenant: OwnKeep) {
    const asked = policies.overrides.includes('keep') ? (request.keep ?? {}) : {}
    const { keep, wrong } = resolveKeep({ deployment, tenant, preset: policies.keep, job: asked })
    return { keep: freezeKeep(keep), wrong: wrong.map((field) => ({ ...field, pointer: `/keep${field.pointer}` })) }
  }

  async function raw(request: JobRequest, tenant: OwnKeep): Promise<{ job: ResolvedJob; wrong: FieldError[] }> {
    const { deployment: hardware = null, input, metadata, user = null } = request
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
    return {
      job: {
        preset: null,
        ...target,
        deployment: hardware,
        input,
        metadata,
        user,
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
    name: string,
    request: JobRequest,
    tenant: OwnKeep,
  ): Promise<{ job: ResolvedJob | null; wrong: FieldError[] }> {
    const preset = catalogue.find(name)
    if (preset === null)
      return {
        job: null,
        wrong: [{ pointer: '/preset', code: 'unknown_preset', detail: 'The preset does not exist.' }],
      }
    const [schema, called, absent] = await Promise.all([
      catalogue.presetSchema(preset),
      callable(targetOf(preset)),
      absentDeployment(preset.deployment),
    ])
    const shape = preset.output ?? (await catalogue.outputShape(called.target))
    const { input, refused } = mergeInput(preset, request.input, schema?.schema ?? null)
    const { keep, wrong } = keepFor(preset.policies, request, tenant)
    return {
      job: {
        preset: name,
        ...called.target,
        deployment: preset.deployment,
        input,
        metadata: request.metadata,
        user: request.user ?? null,
        ...policiesOf(preset.policies, request),
        output_shape: shape,
        key_pattern: preset.key_pattern,
        price: preset.price,
        keep,
      },
      wrong: [
        ...[...called.wrong, ...absent].map((field) => ({ ...field, pointer: '/preset' })),
        ...refusedPolicies(preset, request),
        ...wrong,
        ...inInput([...refused, ...((await schema?.check(input)) ?? [])]),
      ],
    }
  }
}

const inInput = (fields: FieldError[]): FieldError[] =>
  fields.map((field) => ({ ...field, pointer: `/input${field.pointer}` }))

/** A version is run by its id, everything else by its name. */
const targetOf = ({ model, version }: Preset): Target => ({
  model: version === null ? model : null,
  version: version === null ? null : `${model}:${version}`,
})

/** The policies of a job: those of its request, and those of its preset where the request sets none; without retention. */
function policiesOf({ overrides: _overrides, keep: _keep, ...policies }: Policies, request: JobRequest) {
  const { keep: _own, ...asked } = pick(request, POLICY_NAMES)
  const given = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined))
  const webhook_events = subscribed(request.webhook_events ?? policies.webhook_events)
  return { ...policies, ...given, webhook_events }
}

const refusedPolicies = ({ policies }: Preset, request: JobRequest): FieldError[] =>
  POLICY_NAMES.filter((name) => request[name] !== undefined && !policies.overrides.includes(name)).map((name) => ({
    pointer: `/${name}`,
    code: 'not_allowed',
    detail: 'The preset sets this.',
  }))
