import type { JsonObject } from '../client/types.ts'

export interface Sample {
  model: string
  kind: string
  text: string
  input: JsonObject
}

/** What a first visit offers: one for each kind of output, none that needs a file. */
export const SAMPLES: readonly Sample[] = [
  {
    model: 'black-forest-labs/flux-schnell',
    kind: 'A picture',
    text: 'A lighthouse in morning fog, quiet sea, 35 mm film',
    input: { prompt: 'A lighthouse in morning fog, quiet sea, 35 mm film', aspect_ratio: '16:9' },
  },
  {
    model: 'black-forest-labs/flux-schnell',
    kind: 'Four to choose from',
    text: 'Botanical plate of an imaginary orchid, ink and watercolour',
    input: {
      prompt: 'Botanical plate of an imaginary orchid, ink and watercolour',
      aspect_ratio: '4:5',
      num_outputs: 4,
    },
  },
  {
    model: 'google/gemini-3-pro',
    kind: 'A text',
    text: 'Explain in four sentences why a queue should send a paid request only once',
    input: { prompt: 'Explain in four sentences why a queue should send a paid request only once' },
  },
]

export function samplePromptFor(model: string): string | null {
  const text = SAMPLES.find((sample) => sample.model === model)?.input['prompt']
  return typeof text === 'string' ? text : null
}
