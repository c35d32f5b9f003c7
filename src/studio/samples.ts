import type { Client } from '../client/client.ts'
import type { JsonObject } from '../client/types.ts'
import type { Catalogue } from './catalogue.ts'
import { isFileField, recipeOfModel, recipeOfPreset, type Recipe } from './recipe.ts'
import { drawOldPhotograph, drawPortrait, speakNonsense } from './sample-files.ts'
import { sendFile } from './send-file.ts'

export interface Sample {
  recipe: Recipe
  kind: string
  text: string
  /** Creates and uploads files on demand. */
  input: (client: Client) => Promise<JsonObject>
}

interface SampleText {
  kind: string
  text: string
  input?: JsonObject
  files?: (client: Client) => Promise<JsonObject>
}

const LIGHTHOUSE = 'A lighthouse in morning fog, quiet sea, 35 mm film'

const ORCHID: SampleText = {
  kind: 'Four to choose from',
  text: 'Botanical plate of an imaginary orchid, ink and watercolour',
  input: { aspect_ratio: '4:5', num_outputs: 4 },
}

/** By recipe key. `text` is the prompt. */
const SAMPLE_TEXTS: Record<string, SampleText> = {
  'preset:story-page': { kind: 'A picture', text: LIGHTHOUSE, input: { aspect_ratio: '16:9' } },
  'preset:training-image': {
    kind: 'A training picture',
    text: 'Ada, a red-haired girl in a yellow raincoat, at the harbour',
  },
  'preset:video-outline': { kind: 'An outline', text: 'How lighthouses were built on rocks in the open sea' },
  'preset:video-script': { kind: 'A script', text: 'Hook: a light at sea. 1. The rock. 2. The tower. 3. The keeper.' },
  'preset:video-titles': { kind: 'Titles', text: 'A film on the last lighthouse keepers' },
  'preset:restore-image': {
    kind: 'A restored photograph',
    text: 'A scratched old photograph, generated for this sample',
    files: async (client) => ({ input_image: await sendFile(client, await drawOldPhotograph()) }),
  },
  'preset:lip-sync': {
    kind: 'A video',
    text: 'A drawn face that speaks two seconds of nonsense',
    files: async (client) => ({
      image: await sendFile(client, await drawPortrait()),
      audio: await sendFile(client, speakNonsense()),
    }),
  },
  'black-forest-labs/flux-schnell': { kind: 'A picture', text: LIGHTHOUSE, input: { aspect_ratio: '16:9' } },
  'google/gemini-3-pro': {
    kind: 'A text',
    text: 'Explain in four sentences why a queue should send a paid request only once',
  },
}

/** The sample of an unknown preset: only if a prompt is its only required field. */
function sampleTextOf({ key, title, fields }: Recipe): SampleText | null {
  const known = SAMPLE_TEXTS[key]
  if (known) return known
  const needed = fields.filter((field) => field.required)
  const onlyPrompt = needed.length === 1 && needed[0]?.name === 'prompt' && !needed.some(isFileField)
  return onlyPrompt ? { kind: title, text: LIGHTHOUSE } : null
}

function sampleOf(recipe: Recipe, sample: SampleText): Sample {
  const { kind, text, input = {}, files } = sample
  return { recipe, kind, text, input: files ?? (async () => ({ prompt: text, ...input })) }
}

/** The samples on a first visit: one for each preset, or for each known model without presets. */
export function samplesOf({ presets, models }: Catalogue): Sample[] {
  if (presets.loading) return []
  const recipes =
    presets.items.length > 0
      ? presets.items.map(recipeOfPreset)
      : models.items.map((model) => recipeOfModel(model.name, model))
  const samples = recipes.flatMap((recipe) => {
    const sample = sampleTextOf(recipe)
    return sample ? [sampleOf(recipe, sample)] : []
  })
  // Pictures first: their result is visible at once.
  const place = ({ recipe }: Sample): number => {
    const at = Object.keys(SAMPLE_TEXTS).indexOf(recipe.key)
    return at === -1 ? Object.keys(SAMPLE_TEXTS).length : at
  }
  const flux = recipes.find(({ key }) => key === 'black-forest-labs/flux-schnell')
  return [...samples, ...(flux ? [sampleOf(flux, ORCHID)] : [])].sort((a, b) => place(a) - place(b))
}

export function samplePromptFor(key: string): string | null {
  const sample = SAMPLE_TEXTS[key]
  return sample && !sample.files ? sample.text : null
}
