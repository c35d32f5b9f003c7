import { describe, expect, test } from 'vitest'
import { readSettings, usage } from '../../src/simulator/options.ts'
import { startSimulator } from '../../src/simulator/start-simulator.ts'

const DEFAULTS = { port: 4010, host: '127.0.0.1', speed: 1, createsPerMinute: 600, readsPerMinute: 3000, clock: 'real' }

describe('settings', () => {
  test('have defaults; flags win over the environment', () => {
    expect(readSettings([], {})).toEqual(DEFAULTS)
    const environment = { SIMULATOR_PORT: '1', SIMULATOR_SPEED: '5', SIMULATOR_DATA: '/data', SIMULATOR_HOST: '' }
    expect(
      readSettings(['--port', '0', '--burst=9', '--creates-per-minute', '60', '--seed', '3'], environment),
    ).toEqual({
      ...DEFAULTS,
      port: 0,
      speed: 5,
      data: '/data',
      burst: 9,
      createsPerMinute: 60,
      seed: 3,
    })
  })

  test.each([
    [['--port', '65536'], {}, '--port is "65536", expected a whole number from 0 to 65535'],
    [['--speed', '0'], {}, '--speed is "0", expected a number above 0'],
    [['--speed', ' '], {}, '--speed is " ", expected a number above 0'],
    [['--burst', '0.5'], {}, '--burst is "0.5", expected a whole number from 1'],
    [['--data', ''], {}, '--data is empty, expected a folder'],
    [['--clock', 'slow'], {}, '--clock is "slow", expected real or manual'],
    [['--record', 'a', '--replay', 'b'], {}, '--record and --replay exclude each other'],
    [['--upstream', 'replicate'], {}, '--upstream is "replicate", expected the URL of an API'],
    [[], { SIMULATOR_SPEED: 'fast' }, 'SIMULATOR_SPEED is "fast", expected a number above 0'],
  ])('%j %j is refused', (flags, environment, message) => {
    expect(() => readSettings(flags, environment)).toThrow(message)
  })

  test('--tls stands with or without a file', () => {
    expect(readSettings(['--tls', '--port', '0'], {})).toEqual({ ...DEFAULTS, port: 0, tls: true })
    expect(readSettings(['--tls', 'ca.pem'], {})).toEqual({ ...DEFAULTS, tls: 'ca.pem' })
    expect(readSettings([], { SIMULATOR_TLS: '1' })).toEqual({ ...DEFAULTS, tls: true })
    expect(readSettings([], { SIMULATOR_TLS: '/ca.pem' })).toEqual({ ...DEFAULTS, tls: '/ca.pem' })
  })

  test('--import takes names, and the token from the environment unless it is given', () => {
    const environment = { REPLICATE_API_TOKEN: 'r8_env' }
    const names = ['a/b', 'c.json']
    expect(readSettings(['--import', 'a/b,c.json'], environment)).toEqual({
      ...DEFAULTS,
      import: names,
      token: 'r8_env',
    })
    expect(readSettings(['--import', 'a/b', '--token', 'r8_x'], environment)).toMatchObject({ token: 'r8_x' })
    expect(readSettings([], environment)).toEqual(DEFAULTS)
  })

  test('unknown flags are refused, help is not a setting', () => {
    expect(() => readSettings(['--sped', '1'], {})).toThrow('--sped')
    expect(readSettings(['--help'], {})).toBeNull()
    expect(usage()).toContain('--creates-per-minute')
    expect(usage()).toContain('SIMULATOR_READS_PER_MINUTE')
  })

  test('a missing model file is named', async () => {
    const start = startSimulator({ port: 0, dataDir: null, models: '/nowhere.json' })
    await expect(start).rejects.toThrow('cannot read models from /nowhere.json')
  })
})
