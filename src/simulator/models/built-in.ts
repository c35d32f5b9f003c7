import type { ModelFile } from './model.ts'

/**
 * The built-in models, modelled on the public pages of the real ones. Input schemas are written inline; the API shows
 * their enums as references, as Replicate does.
 */

const ASPECT_RATIOS = ['1:1', '16:9', '21:9', '3:2', '2:3', '4:5', '5:4', '3:4', '4:3', '9:16', '9:21']

/** Fields shared by the FLUX models. */
const fluxFields = (maximumSteps: number, defaultSteps: number) => ({
  prompt: { type: 'string', title: 'Prompt', description: 'What to draw', 'x-order': 0 },
  aspect_ratio: {
    type: 'string',
    enum: ASPECT_RATIOS,
    default: '1:1',
    description: 'Aspect ratio of the picture',
    'x-order': 1,
  },
  num_outputs: {
    type: 'integer',
    title: 'Num Outputs',
    minimum: 1,
    maximum: 4,
    default: 1,
    description: 'How many pictures',
    'x-order': 2,
  },
  num_inference_steps: {
    type: 'integer',
    title: 'Num Inference Steps',
    minimum: 1,
    maximum: maximumSteps,
    default: defaultSteps,
    description: 'Number of denoising steps',
    'x-order': 3,
  },
  seed: { type: 'integer', title: 'Seed', description: 'The same seed gives the same picture', 'x-order': 4 },
  output_format: {
    type: 'string',
    enum: ['webp', 'jpg', 'png'],
    default: 'webp',
    description: 'Format of the files',
    'x-order': 5,
  },
  output_quality: {
    type: 'integer',
    title: 'Output Quality',
    minimum: 0,
    maximum: 100,
    default: 80,
    description: 'Quality of the files, not for png',
    'x-order': 6,
  },
  disable_safety_checker: {
    type: 'boolean',
    title: 'Disable Safety Checker',
    default: false,
    description: 'Accept any picture',
    'x-order': 7,
  },
  go_fast: { type: 'boolean', title: 'Go Fast', default: true, description: 'Run the optimised model', 'x-order': 8 },
  megapixels: {
    type: 'string',
    enum: ['1', '0.25'],
    default: '1',
    description: 'Approximate size in megapixels',
    'x-order': 9,
  },
})

const linkList = (what: string, order: number) => ({
  type: 'array',
  items: { type: 'string', format: 'uri' },
  default: [],
  maxItems: 10,
  description: `${what} for the model to look at`,
  'x-order': order,
})

export const BUILT_IN_MODELS: ModelFile = {
  models: [
    {
      name: 'black-forest-labs/flux-schnell',
      description: 'The fastest image generation model of the FLUX family (simulated)',
      version: 'c846a69991daf4c0e5d016514849d14ee5b2e6846ce6b9d6f21369e564cfe51e',
      run_seconds: [0.5, 2],
      price: { per: 'output', usd: 0.003 },
      output: { kind: 'pictures' },
      input_schema: { type: 'object', title: 'Input', required: ['prompt'], properties: fluxFields(4, 4) },
    },
    {
      name: 'black-forest-labs/flux-dev-lora',
      description: 'FLUX dev with your own LoRA weights (simulated)',
      run_seconds: [10, 30],
      price: { per: 'output', usd: 0.032 },
      output: { kind: 'pictures' },
      input_schema: {
        type: 'object',
        title: 'Input',
        required: ['prompt'],
        properties: {
          ...fluxFields(50, 28),
          lora_weights: {
            type: 'string',
            title: 'Lora Weights',
            description: 'Address of the LoRA weights',
            'x-order': 10,
          },
          lora_scale: {
            type: 'number',
            title: 'Lora Scale',
            minimum: -1,
            maximum: 3,
            default: 1,
            description: 'How strongly the LoRA is applied',
            'x-order': 11,
          },
          guidance: {
            type: 'number',
            title: 'Guidance',
            minimum: 0,
            maximum: 10,
            default: 3,
            description: 'How closely to follow the prompt',
            'x-order': 12,
          },
        },
      },
    },
    {
      name: 'flux-kontext-apps/restore-image',
      description: 'Removes scratches and dust from old photographs, and brings back their colours (simulated)',
      version: '85ae46551612b8f778348846b6ce1ce1b340e384fe2062399c0c412be29e107d',
      run_seconds: [5, 15],
      price: { per: 'output', usd: 0.04 },
      output: { kind: 'restoration', image: 'input_image' },
      input_schema: {
        type: 'object',
        title: 'Input',
        required: ['input_image'],
        properties: {
          input_image: {
            type: 'string',
            title: 'Input Image',
            format: 'uri',
            description: 'The picture to restore: jpeg, png, gif or webp',
            'x-order': 0,
          },
          seed: { type: 'integer', title: 'Seed', description: 'The same seed gives the same result', 'x-order': 1 },
          output_format: {
            type: 'string',
            enum: ['jpg', 'png'],
            default: 'png',
            description: 'Format of the file',
            'x-order': 2,
          },
          safety_tolerance: {
            type: 'integer',
            title: 'Safety Tolerance',
            minimum: 0,
            maximum: 2,
            default: 2,
            description: 'From strict, 0, to permissive, 2',
            'x-order': 3,
          },
        },
      },
    },
    {
      name: 'wan-video/wan-2.2-s2v',
      description: 'A video of a picture that moves to a sound (simulated)',
      version: '09607e6e761d2f015b0d740f938ec59199f54aa623384465a5054b230405acf4',
      run_seconds: [30, 90],
      price: { per: 'video_second', usd: 0.02 },
      output: { kind: 'film', image: 'image', audio: 'audio' },
      input_schema: {
        type: 'object',
        title: 'Input',
        required: ['prompt', 'image', 'audio'],
        properties: {
          prompt: { type: 'string', title: 'Prompt', description: 'What happens in the video', 'x-order': 0 },
          image: { type: 'string', title: 'Image', format: 'uri', description: 'The first frame', 'x-order': 1 },
          audio: {
            type: 'string',
            title: 'Audio',
            format: 'uri',
            description: 'The sound that drives the video',
            'x-order': 2,
          },
          num_frames_per_chunk: {
            type: 'integer',
            title: 'Num Frames Per Chunk',
            minimum: 1,
            maximum: 121,
            default: 81,
            description: 'How many frames are made at a time',
            'x-order': 3,
          },
          seed: { type: 'integer', title: 'Seed', description: 'The same seed gives the same video', 'x-order': 4 },
        },
      },
    },
    {
      name: 'google/gemini-3-pro',
      description: "Google's reasoning model (simulated)",
      run_seconds: [60, 120],
      price: { per: 'thousand_tokens', usd: 0.012 },
      output: { kind: 'text' },
      input_schema: {
        type: 'object',
        title: 'Input',
        required: ['prompt'],
        properties: {
          prompt: { type: 'string', title: 'Prompt', description: 'What to write', 'x-order': 0 },
          images: linkList('Pictures', 1),
          videos: linkList('Videos', 2),
          audio: { type: 'string', format: 'uri', description: 'Sound for the model to listen to', 'x-order': 3 },
          system_instruction: { type: 'string', description: 'How the model should behave', 'x-order': 4 },
          thinking_level: {
            type: 'string',
            enum: ['low', 'high'],
            description: 'How long to think before writing',
            'x-order': 5,
          },
          temperature: { type: 'number', minimum: 0, maximum: 2, default: 1, description: 'Variety', 'x-order': 6 },
          top_p: {
            type: 'number',
            minimum: 0,
            maximum: 1,
            default: 0.95,
            description: 'Nucleus sampling',
            'x-order': 7,
          },
          max_output_tokens: {
            type: 'integer',
            minimum: 1,
            maximum: 65_535,
            default: 65_535,
            description: 'Longest output, in tokens',
            'x-order': 8,
          },
        },
      },
    },
    {
      name: 'replicate/hello-world',
      description: 'A tiny model that says hello',
      official: false,
      version: '9dcd6d78e7c6560c340d916fe32e9f24aabfa331e5cce95fe31f77fb03121426',
      run_seconds: [0.01, 0.1],
      start_seconds: [0.01, 0.05],
      output: { kind: 'string', template: 'hello {text}' },
      input_schema: {
        type: 'object',
        title: 'Input',
        required: ['text'],
        properties: {
          text: { type: 'string', title: 'Text', description: 'Text to prefix with "hello "', 'x-order': 0 },
        },
      },
    },
  ],
  deployments: [
    { name: 'acme/flux-fast', model: 'black-forest-labs/flux-schnell' },
    { name: 'acme/writer', model: 'google/gemini-3-pro' },
  ],
}
