import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { countOutputs } from '../../src/shared/credits/rules/count-outputs.ts'
import {
  actualPrice,
  estimatePrice,
  measuredFields,
  MAX_PRICE,
  priceRuleSchema,
  type PriceRule,
} from '../../src/shared/credits/rules/price.ts'
import { examples } from '../support/property-seed.ts'
import type { ArtifactRecord } from '../../src/shared/jobs/rules/job.ts'
import type { Json } from '../../src/shared/values/json.ts'
import { jobRecord } from './support/job-states.ts'

const artifact = (index: number): ArtifactRecord => ({
  id: `art_${index}`,
  key: `key-${index}`,
  media_type: 'image/png',
  bytes: 1,
  sha256: '',
  width: null,
  height: null,
  duration: null,
  thumbnail: null,
})

const rule = (value: object): PriceRule => priceRuleSchema.parse(value)

describe('a price rule', () => {
  test.each([
    ['a fraction', { per_run: 1.5 }],
    ['a negative price', { per_run: -1 }],
    ['a price beyond the limit', { per_run: MAX_PRICE + 1 }],
    ['a part that it does not know', { per_pixel: 1 }],
    ['a price without what to expect', { per_output: 3000 }],
    ['an expectation of something else', { per_output: 3000, expect: { predict_seconds: 2 } }],
    ['a negative expectation', { per_output: 3000, expect: { outputs: -1 } }],
    ['a field without a default', { per_output: 3000, expect: { outputs: { input: 'num_outputs' } } }],
  ])('is refused with %s', (_, value) => {
    expect(priceRuleSchema.safeParse(value).success).toBe(false)
  })

  test('names what is missing', () => {
    const parsed = priceRuleSchema.safeParse({ per_video_second: 3 })
    expect(parsed.error?.issues).toMatchObject([
      { path: ['expect', 'video_seconds'], message: 'Required because per_video_second has a price.' },
    ])
  })
})

describe('an estimate', () => {
  const pictures = rule({ per_output: 3000, expect: { outputs: { input: 'num_outputs', default: 1 } } })

  test.each([
    [{}, 3000],
    [{ num_outputs: 4 }, 12_000],
    [{ num_outputs: 'many' }, 3000],
    [{ num_outputs: null }, 3000],
  ])('of %j takes the quantity from the input: %i', (input, amount) => {
    expect(estimatePrice(pictures, input)).toBe(amount)
  })

  test('takes the duration of a file where it is known', () => {
    const video = rule({ per_video_second: 100, expect: { video_seconds: { duration_of: 'audio', default: 10 } } })
    expect(measuredFields(video)).toEqual(['audio'])
    expect(measuredFields(pictures)).toEqual([])
    expect(estimatePrice(video, { audio: 'x' }, new Map([['audio', 2.5]]))).toBe(250)
    expect(estimatePrice(video, { audio: 'x' }, new Map([['image', 2.5]]))).toBe(1000)
    expect(estimatePrice(video, { audio: 3 })).toBe(1000)
  })

  test('adds all parts and rounds up once', () => {
    const all = rule({
      per_run: 10,
      per_predict_second: 1,
      per_video_second: 1,
      expect: { predict_seconds: 0.3, video_seconds: 0.3 },
    })
    expect(estimatePrice(all, {})).toBe(11)
  })

  test('of a price of nothing is nothing', () => {
    expect(estimatePrice(rule({}), { any: 'thing' })).toBe(0)
    expect(estimatePrice(rule({ per_output: 0 }), {})).toBe(0)
  })

  test('has no part above the limit, for every source of the quantity', () => {
    const of = (outputs: unknown, input = {}): number =>
      estimatePrice(rule({ per_run: 7, per_output: MAX_PRICE, expect: { outputs } }), input)
    expect(of(1)).toBe(MAX_PRICE + 7)
    expect(of(2)).toBe(MAX_PRICE + 7)
    expect(of({ input: 'n', default: 2 })).toBe(MAX_PRICE + 7)
    expect(of({ input: 'n', default: 1 }, { n: 1e300 })).toBe(MAX_PRICE + 7)
  })

  test('stays a safe integer for any input', () => {
    const dear = rule({
      per_run: MAX_PRICE,
      per_output: MAX_PRICE,
      per_input_token: MAX_PRICE,
      expect: { outputs: { input: 'n', default: 1 }, input_tokens: { input: 'n', default: 1 } },
    })
    fc.assert(
      fc.property(fc.double(), (n) => {
        const amount = estimatePrice(dear, { n })
        expect(Number.isSafeInteger(amount) && amount >= MAX_PRICE).toBe(true)
      }),
    )
  })
})

describe('an actual price', () => {
  test('is no more than the decimal numbers say: 3.93 s at 1400 are 5502', () => {
    const seconds = rule({ per_predict_second: 1400, expect: { predict_seconds: 1 } })
    expect(actualPrice(seconds, { metrics: { predict_time: 3.93 }, outputs: 1 })).toEqual({ amount: 5502 })
    expect(actualPrice(seconds, { metrics: { predict_time: 0.000_001 }, outputs: 1 })).toEqual({ amount: 1 })
    expect(actualPrice(seconds, { metrics: { predict_time: 3e-6 }, outputs: 1 })).toEqual({ amount: 1 })
    // 2.3 - 2 is a little less than 0.3.
    const dear = rule({ per_predict_second: 1_000_000_000, expect: { predict_seconds: 1 } })
    expect(actualPrice(dear, { metrics: { predict_time: 2.3 }, outputs: 1 })).toEqual({ amount: 2_300_000_000 })
  })

  test('takes quantities up to the limit, and none beyond it', () => {
    const tokens = rule({ per_input_token: 1, expect: { input_tokens: 1 } })
    const of = (token_input_count: number) => actualPrice(tokens, { metrics: { token_input_count }, outputs: 1 })
    expect(of(1_000_000_000)).toEqual({ amount: 1_000_000_000 })
    expect(of(1_000_000_001)).toEqual({ missing: 'input_tokens' })
    expect(of(0)).toEqual({ amount: 0 })
  })

  test.each([
    ['tokens by the names of billing', { token_input_count: 100, token_output_count: 10 }],
    ['tokens by the names of language models', { input_token_count: 100, output_token_count: 10 }],
    ['both', { token_input_count: 100, input_token_count: 7, output_token_count: 10 }],
    [
      'the second name where the first says nothing',
      { token_input_count: null, input_token_count: 100, output_token_count: 10 },
    ],
  ])('counts %s', (_, metrics) => {
    const tokens = rule({
      per_input_token: 2,
      per_output_token: 12,
      expect: { input_tokens: 1000, output_tokens: 1000 },
    })
    expect(actualPrice(tokens, { metrics, outputs: 1 })).toEqual({ amount: 320 })
  })

  const everything = rule({
    per_run: 1,
    per_predict_second: 10,
    per_output: 100,
    per_input_token: 1000,
    per_output_token: 10_000,
    per_video_second: 100_000,
    expect: { predict_seconds: 1, outputs: 1, input_tokens: 1, output_tokens: 1, video_seconds: 1 },
  })
  const metrics = {
    predict_time: 1,
    token_input_count: 1,
    token_output_count: 1,
    video_output_duration_seconds: 1,
  }

  test('adds all parts', () => {
    expect(actualPrice(everything, { metrics, outputs: 1 })).toEqual({ amount: 111_111 })
  })

  test.each([
    ['predict_seconds', { ...metrics, predict_time: null }, 1],
    ['input_tokens', { ...metrics, token_input_count: '12' }, 1],
    ['output_tokens', { ...metrics, token_output_count: -1 }, 1],
    ['video_seconds', { ...metrics, video_output_duration_seconds: 1e300 }, 1],
    ['outputs', metrics, null],
  ])('says that %s are missing', (missing, reported, outputs) => {
    expect(actualPrice(everything, { metrics: reported, outputs })).toEqual({ missing })
  })

  test('needs no metric that costs nothing', () => {
    expect(actualPrice(rule({ per_run: 7, per_predict_second: 0 }), { metrics: {}, outputs: null })).toEqual({
      amount: 7,
    })
  })

  const price = fc.nat(MAX_PRICE)
  const amount = fc.oneof(fc.nat(10_000), fc.double({ min: 0, max: 10_000, noNaN: true }))

  test('is a safe integer, or names what is missing', () => {
    fc.assert(
      fc.property(
        price,
        price,
        price,
        fc.dictionary(fc.constantFrom(...Object.keys(metrics)), fc.jsonValue()),
        (perRun, perSecond, perToken, reported) => {
          const dear = rule({
            per_run: perRun,
            per_predict_second: perSecond,
            per_input_token: perToken,
            expect: { predict_seconds: 1, input_tokens: 1 },
          })
          const result = actualPrice(dear, { metrics: JSON.parse(JSON.stringify(reported)), outputs: 1 })
          if ('amount' in result) expect(Number.isSafeInteger(result.amount) && result.amount >= perRun).toBe(true)
          else expect(['predict_seconds', 'input_tokens']).toContain(result.missing)
        },
      ),
      { numRuns: examples(500) },
    )
  })

  test('of what was expected is the estimate', () => {
    fc.assert(
      fc.property(price, fc.nat(1000), amount, amount, (perRun, unit, seconds, outputs) => {
        const one = rule({
          per_run: perRun,
          per_predict_second: unit,
          per_output: unit,
          expect: { predict_seconds: seconds, outputs: { input: 'n', default: 0 } },
        })
        expect(actualPrice(one, { metrics: { predict_time: seconds }, outputs })).toEqual({
          amount: estimatePrice(one, { n: outputs }),
        })
      }),
    )
  })

  test('grows with use, and is less than one micro-credit above the exact sum', () => {
    fc.assert(
      fc.property(fc.nat(1000), fc.nat(1_000_000), fc.nat(1_000_000), (unit, a, b) => {
        const seconds = rule({ per_predict_second: unit, expect: { predict_seconds: 1 } })
        const of = (micros: number): number => {
          const result = actualPrice(seconds, { metrics: { predict_time: micros / 1e6 }, outputs: 1 })
          return 'amount' in result ? result.amount : Number.NaN
        }
        expect(of(Math.min(a, b))).toBeLessThanOrEqual(of(Math.max(a, b)))
        expect(BigInt(of(a))).toBe((BigInt(unit) * BigInt(a) + 999_999n) / 1_000_000n)
      }),
    )
  })
})

describe('outputs', () => {
  test.each<[output: Json, count: number]>([
    [null, 0],
    ['', 0],
    [[], 0],
    ['a text', 1],
    [['cat', 'dog'], 1],
    ['https://replicate.delivery/out.png', 1],
    [['https://replicate.delivery/0.png', 'https://replicate.delivery/1.png'], 2],
    [{ picture: 'https://replicate.delivery/0.png', mask: 'data:image/png;base64,AA==', score: 1 }, 2],
    [{ score: 1 }, 1],
  ])('of %j: %i', (output, count) => {
    expect(countOutputs(jobRecord('succeeded', { output }))).toBe(count)
  })

  test('that are stored count by file; what holds the whole of a long output is none of them', () => {
    const of = (files: number, output_artifact: string | null): number =>
      countOutputs(
        jobRecord('succeeded', { artifacts: Array.from({ length: files }, (_, i) => artifact(i)), output_artifact }),
      )
    expect(of(3, null)).toBe(3)
    expect(of(3, 'art_2')).toBe(2)
    expect(of(1, 'art_0')).toBe(1)
  })
})
