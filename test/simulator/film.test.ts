import { describe, expect, test } from 'vitest'
import { progressFromLogs } from '../../src/shared/replicate/rules/progress-from-logs.ts'
import { launchBrowser } from '../support/browser.ts'
import { bytesAt, damagedPhoto, dataUri, tone } from './support/media.ts'
import { type Body, finished, simulatorFor, SPEECH_TO_VIDEO, type TestSimulator } from './support/simulator.ts'

async function speechInput(seconds = 2): Promise<{ prompt: string; image: string; audio: string }> {
  const photo = await damagedPhoto()
  return { prompt: 'she speaks', image: dataUri(photo, 'image/png'), audio: dataUri(tone(seconds), 'audio/wav') }
}

async function film(simulator: TestSimulator, input: object): Promise<Body> {
  const { body } = await simulator.post(SPEECH_TO_VIDEO, { input })
  return finished(simulator, body.id)
}

/** Runs in the browser: plays the video at a URL and compares two of its frames. */
const LOOK_AT_VIDEO = `async (url) => {
  const video = document.createElement('video')
  video.muted = true
  video.src = url
  const event = (name) => new Promise((resolve) => video.addEventListener(name, resolve, { once: true }))
  await Promise.race([event('loadeddata'), event('error')])
  const canvas = document.createElement('canvas')
  canvas.width = video.videoWidth
  canvas.height = video.videoHeight
  const frames = []
  for (const second of [0.01, 0.26]) {
    video.currentTime = second
    await event('seeked')
    canvas.getContext('2d').drawImage(video, 0, 0)
    frames.push(canvas.toDataURL())
  }
  const { error, duration, videoWidth, videoHeight } = video
  return { error: error?.message ?? null, duration, videoWidth, videoHeight, moves: frames[0] !== frames[1] }
}`

describe('wan-2.2-s2v', () => {
  test('runs 30 to 90 seconds, logs each frame, and makes an MP4 as long as the sound', async () => {
    const simulator = await simulatorFor()
    const done = await film(simulator, { ...(await speechInput()), num_frames_per_chunk: 20, seed: 1 })
    expect(done).toMatchObject({ status: 'succeeded', model: 'wan-video/wan-2.2-s2v', version: 'hidden' })
    expect(done.metrics.predict_time * 100).toBeGreaterThan(30)
    expect(done.metrics.predict_time * 100).toBeLessThan(95)
    expect(done.metrics).toMatchObject({ video_output_duration_seconds: 2, video_output_count: 1 })
    expect(done.logs).toContain('Sound of 2.0 s: 32 frames, 20 at a time\n')
    const frames = [...done.logs.matchAll(/Processing frame (\d+)\/32\.\.\./g)].map(([, n]) => Number(n))
    expect(frames).toEqual(Array.from({ length: 32 }, (_, i) => i + 1))
    expect(done.output).toMatch(/\/out-0\.mp4$/)
    const response = await fetch(done.output)
    expect(response.headers.get('content-type')).toBe('video/mp4')
    const { spend } = await simulator.books()
    expect(spend).toBe(0.04)
  })

  test('the same input gives the same bytes; sound and picture change them', async () => {
    const simulator = await simulatorFor()
    const input = await speechInput(1)
    const bytes = async (other: object) =>
      (await bytesAt((await film(simulator, { ...input, ...other })).output)).toString('base64')
    const first = await bytes({})
    expect(await bytes({})).toBe(first)
    expect(await bytes({ audio: dataUri(tone(1.5), 'audio/wav') })).not.toBe(first)
    const other = await damagedPhoto({ width: 200, height: 200 })
    expect(await bytes({ image: dataUri(other, 'image/png') })).not.toBe(first)
  })

  test('progress can be followed by its logs', async () => {
    const simulator = await simulatorFor({ speed: 40 })
    const { body } = await simulator.post(SPEECH_TO_VIDEO, { input: await speechInput() })
    const seen = new Set<number>()
    for (;;) {
      const { body: now } = await simulator.get(`predictions/${body.id}`)
      const progress = progressFromLogs(now.logs)
      if (progress !== null) seen.add(progress)
      if (now.completed_at !== undefined) break
    }
    expect(seen.size).toBeGreaterThan(5)
    expect(Math.max(...seen)).toBe(1)
    expect([...seen].toSorted((a, b) => a - b)).toEqual([...seen])
  })

  test('a file that is no sound fails the run; the schema is checked', async () => {
    const simulator = await simulatorFor()
    const input = await speechInput(1)
    const failed = await film(simulator, { ...input, audio: input.image })
    expect(failed).toMatchObject({ status: 'failed', error: "Error opening '/tmp/audio': Format not recognised." })
    const wrong = await simulator.post(SPEECH_TO_VIDEO, {
      input: { ...input, num_frames_per_chunk: 122, audio: undefined },
    })
    expect(wrong.body.invalid_fields.map((one: { type: string }) => one.type).toSorted()).toEqual([
      'number_lte',
      'required',
    ])
  })

  test('plays in a browser: its size, its length, and a mouth that moves', async () => {
    const simulator = await simulatorFor()
    const { output } = await film(simulator, await speechInput())
    const page = await (await launchBrowser()).newPage()
    await page.goto(simulator.url)
    const seen = await page.evaluate(`(${LOOK_AT_VIDEO})(${JSON.stringify(output)})`)
    expect(seen).toEqual({ error: null, duration: 2, videoWidth: 480, videoHeight: 320, moves: true })
  })
})
