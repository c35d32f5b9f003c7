import { z } from 'zod'
import { model, modelPage, preset, presetPage } from '../catalogue.ts'
import { OWNED, type Operations } from './operation.ts'

export const catalogueOperations = {
  listPresets: {
    method: 'get',
    path: '/v1/presets',
    tag: 'Presets',
    summary: 'List presets',
    description: 'Lists all presets with schema, price and recent run times.',
    answers: { 200: { description: 'The complete list, in one page.', schema: presetPage } },
    errors: [...OWNED, 'upstream_unavailable'],
  },
  getPreset: {
    method: 'get',
    path: '/v1/presets/{name}',
    tag: 'Presets',
    summary: 'Get a preset',
    params: z.object({ name: z.string().meta({ examples: ['story-page'] }) }),
    answers: { 200: { description: 'The preset.', schema: preset } },
    errors: [...OWNED, 'preset_not_found', 'upstream_unavailable'],
  },
  listModels: {
    method: 'get',
    path: '/v1/models',
    tag: 'Models',
    summary: 'List known models',
    description: 'Lists a few models that every installation offers. Read any other model by its name.',
    answers: { 200: { description: 'The complete list, in one page.', schema: modelPage } },
    errors: [...OWNED, 'upstream_unavailable'],
  },
  getModel: {
    method: 'get',
    path: '/v1/models/{owner}/{name}',
    tag: 'Models',
    summary: 'Get a model',
    description: 'Returns the input schema as published by Replicate, cached for ten minutes.',
    params: z.object({
      owner: z.string().meta({ examples: ['black-forest-labs'] }),
      name: z.string().meta({ examples: ['flux-schnell'] }),
    }),
    answers: { 200: { description: 'The model.', schema: model } },
    errors: [...OWNED, 'model_not_found', 'upstream_unavailable'],
  },
} satisfies Operations
