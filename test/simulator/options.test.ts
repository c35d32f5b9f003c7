import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readSettings, usage } from '../../src/simulator/options.ts'
import {
  importModels,
  type Simulator,
  startRecorder,
  startReplay,
  startSimulator,
} from '../../src/simulator/start-simulator.ts'
import { spawnNode } from '../support/spawn-process.ts'

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
    expect(readSettings([], { SIMULATOR_TLS: '0' })).toEqual(DEFAULTS)
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
    expect(usage()).toMatch(/^Usage: replicate-simulator \[options\]\n/)
    expect(usage()).toContain('--creates-per-minute')
    expect(usage()).toContain('SIMULATOR_READS_PER_MINUTE')
  })

  const NOT_A_SCHEMA = { name: 'acme/x', input_schema: { type: 'strin' }, output: { kind: 'pictures' } }
  test.each([
    [{ port: 'x' }, /options of startSimulator are not valid:\n.*expected number, received string\n.*at port$/],
    [{ speed: 0 }, /expected number to be >0\n.*at speed$/],
    [{ prot: 1 }, /Unrecognized key: "prot"$/],
    [{ habits: { nothing: 1 } }, /Unrecognized key: "nothing"\n.*at habits$/],
    [{ models: '/nowhere.json' }, /^cannot read models from \/nowhere\.json: ENOENT/],
    [{ models: { models: [NOT_A_SCHEMA] } }, /input_schema\b/],
    [{ dataDir: import.meta.filename }, /^cannot make the data folder .*options\.test\.ts: EEXIST/],
  ])('the options %j of a program without types are refused', async (options, message) => {
    const start: (options: object) => Promise<Simulator> = startSimulator
    await expect(start(options)).rejects.toThrow(message)
  })

  test('files that cannot be read or written are named', async () => {
    await expect(startReplay({ file: '/nowhere/a' })).rejects.toThrow(/^cannot read the recording \/nowhere\/a: ENOENT/)
    await expect(startRecorder({ file: '/nowhere/a' })).rejects.toThrow(/^cannot write the recording .*: ENOENT/)
    await expect(importModels(['a/b'], 'http://127.0.0.1:1', '')).rejects.toThrow(/^cannot get .*\/v1\/models\/a\/b: /)
  })

  test('the command ends when it cannot write the certificate', async () => {
    const main = join(import.meta.dirname, '../../src/simulator/main.ts')
    const ran = spawnNode(main, ['--port', '0', '--tls', '/nowhere/ca.pem'])
    expect(await ran.exited).toMatchObject({ code: 1 })
    expect(ran.stderr).toMatch(/^simulator: cannot write the certificate to \/nowhere\/ca\.pem: ENOENT/)
  })
})
