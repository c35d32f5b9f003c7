import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { waitFor } from '../../support/wait-for.ts'
import { type Simulator, type SimulatorOptions, startSimulator } from '../../../src/simulator/start-simulator.ts'

export const FLUX = 'models/black-forest-labs/flux-schnell/predictions'
export const RESTORE = 'models/flux-kontext-apps/restore-image/predictions'
export const SPEECH_TO_VIDEO = 'models/wan-video/wan-2.2-s2v/predictions'
export const GEMINI = 'models/google/gemini-3-pro/predictions'

/** A simulator for one test, on a free port, in memory, at speed 100. */
export async function simulatorFor(options: Partial<SimulatorOptions> = {}): Promise<TestSimulator> {
  const simulator = await startSimulator({ port: 0, dataDir: null, speed: 100, seed: 7, ...options })
  onTestFinished(() => simulator.stop())
  return withCalls(simulator)
}

type Running = Pick<Simulator, 'url' | 'apiUrl' | 'port' | 'stop'>
export type TestSimulator = Running & ReturnType<typeof callsTo>

export const withCalls = (simulator: Running): TestSimulator => ({ ...simulator, ...callsTo(simulator.url) })

export interface Answer {
  status: number
  headers: Headers
  body: Body
}

/** A JSON body; missing parts are undefined. */
// oxlint-disable-next-line typescript/no-explicit-any -- tests read bodies that other tests check against schemas
export type Body = any

export function callsTo(url: string) {
  async function call(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const response = await fetch(new URL(path, `${url}/v1/`), {
      method,
      headers: { authorization: 'Bearer any', 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    return { status: response.status, headers: response.headers, body: parsed(text) }
  }
  const post = (path: string, body?: unknown, headers?: Record<string, string>) => call('POST', path, body, headers)
  return {
    call,
    post,
    get: (path: string, headers?: Record<string, string>) => call('GET', path, undefined, headers),
    create: (input: object = { prompt: 'a boat' }, more: object = {}, headers?: Record<string, string>) =>
      post(FLUX, { input, ...more }, headers),
    faults: (faults: object) => post('/_sim/faults', faults),
    books: async () => (await call('GET', '/_sim/books')).body,
  }
}

function parsed(text: string): Body {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

export const finished = (simulator: TestSimulator, id: string) =>
  waitFor<Body>(`the end of ${id}`, async () => {
    const { body } = await simulator.get(`predictions/${id}`)
    return body.completed_at !== undefined && body
  })

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'simulator-test-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}
