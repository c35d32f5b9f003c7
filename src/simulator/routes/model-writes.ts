import { isOwner, SHARED_ACCOUNT } from '../accounts.ts'
import { forbidden, invalidInput, refused } from '../http/problem.ts'
import { empty, json, type Reply } from '../http/reply.ts'
import type { Handler } from '../http/router.ts'
import { createValidator, type InvalidField } from '../models/validate-input.ts'
import { isHardware, unknownHardware } from './hardware.ts'
import { readJson } from './json-request.ts'
import { modelsShownBy, ownerPart, withPage, withVersion } from './models.ts'
import type { Services } from './services.ts'

/** Models created, changed and deleted. Texts and codes of what is refused are not documented. */

const BODY_BYTES = 1_000_000
const TEXT = { type: 'string' }
const LINKS = { github_url: TEXT, license_url: TEXT, paper_url: TEXT }

interface NewModel {
  owner: string
  name: string
  visibility: 'public' | 'private'
  hardware: string
  description?: string
  github_url?: string
  license_url?: string
  paper_url?: string
  cover_image_url?: string
}

const validateNew = createValidator({
  type: 'object',
  required: ['owner', 'name', 'visibility', 'hardware'],
  properties: {
    owner: { type: 'string', pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$' },
    name: { type: 'string', pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$' },
    visibility: { type: 'string', enum: ['public', 'private'] },
    hardware: TEXT,
    description: TEXT,
    cover_image_url: TEXT,
    ...LINKS,
  },
})

interface ModelUpdate {
  description?: string
  readme?: string
  github_url?: string
  license_url?: string
  paper_url?: string
  weights_url?: string
}

const validateUpdate = createValidator({
  type: 'object',
  properties: { description: TEXT, readme: TEXT, weights_url: TEXT, ...LINKS },
})

export function createModel(services: Services): Handler {
  const { book, catalogue, clock } = services
  return async (request) => {
    const body = await readJson(request, BODY_BYTES)
    if ('kind' in body) return body
    const wrong = validateNew(body.value, '')
    if (!isNewModel(body.value, wrong)) return invalidInput(wrong)
    const { owner, name: shortName, visibility, hardware, description = '' } = body.value
    if (!isHardware(hardware)) return invalidInput([unknownHardware])
    if (!isOwner(request.account, owner)) return forbidden()
    const name = `${owner}/${shortName}`
    if (catalogue.page(name) !== undefined) return refused(409, 'A model with that name and owner already exists')
    const row = {
      name,
      description,
      visibility,
      official: false,
      hardware,
      readme: null,
      githubUrl: body.value.github_url ?? null,
      paperUrl: body.value.paper_url ?? null,
      licenseUrl: body.value.license_url ?? null,
      weightsUrl: null,
      coverImageUrl: body.value.cover_image_url ?? null,
      createdAt: clock.now(),
    }
    book.change({ t: 'model', name, row })
    return json(201, modelsShownBy(services, request.origin)(row))
  }
}

/** A value that passed validation has the form of the schema. */
const isNewModel = (_value: unknown, wrong: InvalidField[]): _value is NewModel => wrong.length === 0
const isModelUpdate = (_value: unknown, wrong: InvalidField[]): _value is ModelUpdate => wrong.length === 0

export function updateModel(services: Services): Handler {
  return withPage(services, async (page, request): Promise<Reply> => {
    const body = await readJson(request, BODY_BYTES)
    if ('kind' in body) return body
    const wrong = validateUpdate(body.value, '')
    if (!isModelUpdate(body.value, wrong)) return invalidInput(wrong)
    if (!isOwner(request.account, ownerPart(page.name))) return forbidden()
    const { value } = body
    const row = {
      ...page,
      description: value.description ?? page.description,
      readme: value.readme ?? page.readme,
      githubUrl: value.github_url ?? page.githubUrl,
      paperUrl: value.paper_url ?? page.paperUrl,
      licenseUrl: value.license_url ?? page.licenseUrl,
      weightsUrl: value.weights_url ?? page.weightsUrl,
    }
    services.book.change({ t: 'model', name: page.name, row })
    return json(200, modelsShownBy(services, request.origin)(row))
  })
}

export function deleteModel(services: Services): Handler {
  const { book, catalogue } = services
  return withPage(services, ({ name, visibility }, { account }) => {
    if (!isOwner(account, ownerPart(name))) return forbidden()
    if (visibility !== 'private') return refused(400, 'You can only delete private models')
    if (catalogue.versionsOf(name).length > 0)
      return refused(400, 'You can only delete models that have no versions associated with them')
    book.change({ t: 'model', name, row: null })
    return empty(204)
  })
}

/** Deletes a version with its predictions. Replicate may take minutes; here it is done at once. */
export function deleteVersion(services: Services): Handler {
  const { book, blobs, catalogue, files, lifeCycle } = services
  return withVersion(services, (model, { name, visibility }, { account }) => {
    const { version } = model
    if (!isOwner(account, ownerPart(name))) return forbidden()
    if (visibility !== 'private') return refused(400, 'You can only delete versions from private models')
    if (catalogue.deployments().some((one) => catalogue.deployment(one.name)?.model.version === version))
      return refused(400, 'You cannot delete a version if it has an associated deployment')
    const all = [...book.all()]
    if (all.some(({ training }) => training?.like === version))
      return refused(400, 'You cannot delete a version if it is being used as the base model for a training')
    const doomed = all.filter((one) => one.version === version)
    if (account !== SHARED_ACCOUNT && doomed.some((one) => one.account !== account))
      return refused(400, 'You cannot delete a version if someone other than you has run predictions with it')
    for (const one of doomed) {
      lifeCycle.cancel(one)
      blobs.remove(one.id)
    }
    files.forget(doomed)
    book.change({ t: 'version', version, row: null })
    return empty(202)
  })
}
