import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createLogger } from '../../src/shared/process/logger.ts'
import { startWatchdog } from '../../src/workers/watchdog.ts'

const SILENCE = 60_000
const log = createLogger({ level: 'silent', readable: false })

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** `sweptAgo` answers as Redis would at that time; never: a promise that the test settles. */
function watched(sweptAgo: () => Promise<number | null>, neglected = async (): Promise<string[]> => [], isOurs = true) {
  const onSilence = vi.fn<() => void>()
  const restoreSweep = vi.fn<() => Promise<void>>(() => Promise.resolve())
  const sameDeployment = async (): Promise<boolean> => isOurs
  const options = { store: { sweptAgo }, neglected, restoreSweep, sameDeployment, silence: SILENCE, log, onSilence }
  return { onSilence, restoreSweep, stop: startWatchdog(options) }
}

const sweeping = async (): Promise<number> => 900

/** A check may have run just before the fault began. */
const LATE = SILENCE / 12

test('a worker without sweeps is ended once, within the silence, after the scheduler was put back in vain', async () => {
  const begun = Date.now()
  const { onSilence, restoreSweep } = watched(async () => Date.now() - begun)
  await vi.advanceTimersByTimeAsync(SILENCE / 2)
  expect(restoreSweep).toHaveBeenCalled()
  await vi.advanceTimersByTimeAsync(SILENCE / 4)
  expect(onSilence).not.toHaveBeenCalled()
  await vi.advanceTimersByTimeAsync(SILENCE / 4 - LATE)
  expect(onSilence).toHaveBeenCalledTimes(1)
  await vi.advanceTimersByTimeAsync(5 * SILENCE)
  expect(onSilence).toHaveBeenCalledTimes(1)
})

test('a deleted scheduler is restored, and the worker continues', async () => {
  let swept = Date.now()
  const { onSilence, restoreSweep } = watched(async () => Date.now() - swept)
  restoreSweep.mockImplementation(async () => void (swept = Date.now()))
  await vi.advanceTimersByTimeAsync(10 * SILENCE)
  expect(restoreSweep).toHaveBeenCalled()
  expect(onSilence).not.toHaveBeenCalled()
})

test('a Redis that does not hold this deployment is not the fault of the worker', async () => {
  const { onSilence, restoreSweep } = watched(async () => null, undefined, false)
  await vi.advanceTimersByTimeAsync(10 * SILENCE)
  expect(onSilence).not.toHaveBeenCalled()
  expect(restoreSweep).not.toHaveBeenCalled()
})

test('a Redis that was never swept counts as silent too', async () => {
  const { onSilence } = watched(async () => null)
  await vi.advanceTimersByTimeAsync(SILENCE)
  expect(onSilence).toHaveBeenCalledTimes(1)
})

test('sweeps keep it, and so does a stop', async () => {
  const { onSilence, stop } = watched(async () => 900)
  await vi.advanceTimersByTimeAsync(10 * SILENCE)
  stop()
  expect(onSilence).not.toHaveBeenCalled()
  const stopped = watched(async () => SILENCE * 10)
  stopped.stop()
  await vi.advanceTimersByTimeAsync(10 * SILENCE)
  expect(stopped.onSilence).not.toHaveBeenCalled()
})

test.each([
  ['refuses', (until: Promise<number>) => until.then(() => Promise.reject(new Error('away')))],
  ['is silent', (until: Promise<number>) => until],
])(
  'time in which Redis %s does not count: when it is back the worker has its time to sweep again',
  async (_how, during) => {
    const begun = Date.now()
    const outage = 2 * SILENCE
    let swept = begun
    const back = (): boolean => Date.now() >= begun + outage
    const { onSilence } = watched(() => {
      const ago = (): number => Date.now() - swept
      if (back()) return Promise.resolve(ago())
      return during(new Promise((resolve) => void setTimeout(() => resolve(ago()), begun + outage - Date.now())))
    })
    await vi.advanceTimersByTimeAsync(outage + SILENCE / 2)
    expect(onSilence).not.toHaveBeenCalled()
    swept = Date.now()
    await vi.advanceTimersByTimeAsync(SILENCE * 0.75)
    expect(onSilence).not.toHaveBeenCalled()
    // Nobody sweeps any more.
    await vi.advanceTimersByTimeAsync(SILENCE / 4)
    expect(onSilence).toHaveBeenCalledTimes(1)
  },
)

test('a queue that is left alone all the time ends it, although others are swept', async () => {
  // The first look that can show it comes an interval after it began.
  const begun = Date.now()
  const { onSilence } = watched(sweeping, async () => (Date.now() - begun > LATE ? ['poll'] : []))
  await vi.advanceTimersByTimeAsync(SILENCE * 0.75)
  expect(onSilence).not.toHaveBeenCalled()
  await vi.advanceTimersByTimeAsync(SILENCE / 4)
  expect(onSilence).toHaveBeenCalledTimes(1)
})

test('queues that are left alone in turns, or while Redis is away, do not', async () => {
  let look = 0
  const inTurns = watched(sweeping, async () => [++look % 2 === 0 ? 'poll' : 'store'])
  const begun = Date.now()
  const away = watched(sweeping, async () => {
    if (Math.floor((Date.now() - begun) / (SILENCE / 2)) % 2 === 1) throw new Error('away')
    return ['poll']
  })
  await vi.advanceTimersByTimeAsync(10 * SILENCE)
  expect(inTurns.onSilence).not.toHaveBeenCalled()
  expect(away.onSilence).not.toHaveBeenCalled()
})

test('a machine that slept for hours has its time to sweep again', async () => {
  const begun = Date.now()
  const { onSilence } = watched(async () => Date.now() - begun)
  await vi.advanceTimersByTimeAsync(SILENCE / 2)
  vi.setSystemTime(Date.now() + 3 * 3_600_000)
  await vi.advanceTimersByTimeAsync(SILENCE / 2)
  expect(onSilence).not.toHaveBeenCalled()
})
