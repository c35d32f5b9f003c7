import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import { drawPicture, sizeOf } from '../../src/simulator/pictures/draw-picture.ts'
import { readPrompt } from '../../src/simulator/pictures/read-prompt.ts'
import { toTokens, writeText } from '../../src/simulator/write-text.ts'

const request = { seed: 1, aspectRatio: '1:1', megapixels: 0.25, format: 'png', quality: 80 } as const

describe('pictures', () => {
  test.each([
    ['1:1', 1, 1024, 1024],
    ['16:9', 1, 1376, 768],
    ['9:21', 1, 672, 1568],
    ['nonsense', 1, 1024, 1024],
    ['4:5', 0.25, 448, 576],
  ])('%s of %d megapixels', (ratio, megapixels, width, height) => {
    expect(sizeOf(ratio, megapixels)).toEqual({ width, height })
  })

  test('words choose the scene and the hour', () => {
    const scenes = ['a lighthouse at sunset', 'Snowy MOUNTAINS', 'a fox in the forest', 'neon city', 'a red apple'].map(
      (prompt) => readPrompt(prompt).scene,
    )
    expect(scenes).toEqual(['sea', 'mountain', 'animal', 'city', 'still life'])
    expect(readPrompt('a lighthouse at sunset').hour).toBe('sunset')
    expect(readPrompt('anything else').scene).toBe(readPrompt('anything else').scene)
  })

  test.each([
    'a lighthouse',
    'mountains',
    'a forest',
    'a desert',
    'neon city',
    'a rocket in space with an astronaut',
    'roses',
    'coffee',
    'a vase',
    'a queen',
    'abstract',
    'a cat',
    'a wolf',
    'a parrot',
    'a whale',
    'a rabbit',
    'an owl',
    'a panda',
    '',
    '<script>&"\' \u0000',
  ])('%j becomes a picture', async (prompt) => {
    const { format, width, channels } = await sharp(
      await drawPicture({ ...request, prompt, aspectRatio: '21:9' }),
    ).metadata()
    expect({ format, width, channels }).toEqual({ format: 'png', width: 768, channels: 3 })
  })

  test.each(['webp', 'jpg', 'png'] as const)('%s', async (format) => {
    const bytes = await drawPicture({ ...request, prompt: 'sea', format, quality: 0 })
    expect((await sharp(bytes).metadata()).format).toBe(format === 'jpg' ? 'jpeg' : format)
  })
})

describe('text', () => {
  test('keeps to the subject, in the requested form', () => {
    expect(writeText('Write a video script about urban beekeeping', 1)).toMatch(
      /^# Video urban beekeeping - a script|urban beekeeping[^]*Scene 1/i,
    )
    expect(writeText('Ten titles for a book about rivers', 1)).toMatch(/1\. \*\*/)
    expect(writeText('', 1).length).toBeGreaterThan(100)
  })

  test('its tokens concatenate to the text', () => {
    const text = writeText('an essay about ünïcode  spaces', 4)
    expect(toTokens(text).join('')).toBe(text)
  })
})
