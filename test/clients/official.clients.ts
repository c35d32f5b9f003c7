import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ModelFile } from '../../src/simulator/models/model.ts'
import { programsOf } from '../support/guide-programs.ts'
import { installRecipe } from '../support/install-recipe.ts'
import { spawnNode } from '../support/spawn-process.ts'
import { startService, TEST_KEY, type TestService } from '../support/start-service.ts'
import { tempDir } from '../support/temp-dir.ts'

/** Clients of Replicate, unmodified, against the simulator and against Replicate's API in front. */

const PROGRAMS = join(import.meta.dirname, 'programs')

/** The model that LlamaIndex runs. */
const MODELS: ModelFile = {
  models: [
    {
      name: 'meta/meta-llama-3-70b-instruct',
      official: true,
      version: '8'.repeat(64),
      input_schema: {
        type: 'object',
        required: ['prompt'],
        properties: { prompt: { type: 'string' }, system_prompt: { type: 'string' }, max_tokens: { type: 'integer' } },
      },
      run_seconds: [1, 2],
      output: { kind: 'text' },
    },
  ],
}

let service: TestService
let folder: string
beforeAll(async () => {
  const home = await installRecipe(
    join(import.meta.dirname, 'recipe'),
    'clients',
    'installing the AI SDK, LangChain, LlamaIndex and the MCP server of Replicate into the cache folder, once (200 MB)',
  )
  folder = tempDir()
  cpSync(PROGRAMS, folder, { recursive: true })
  symlinkSync(join(home, 'node_modules'), join(folder, 'node_modules'))
  const redirect = join(import.meta.dirname, '../../src/simulator/redirecting-fetch.ts')
  writeFileSync(join(folder, 'simulator.mjs'), `export { redirectingFetch } from '${pathToFileURL(redirect).href}'\n`)
  // The package that the guide takes it from.
  const published = join(folder, 'guide/node_modules/@genqueue/replicate-simulator')
  mkdirSync(published, { recursive: true })
  writeFileSync(join(published, 'package.json'), '{ "exports": { "./fetch": "./fetch.mjs" } }')
  cpSync(join(folder, 'simulator.mjs'), join(published, 'fetch.mjs'))
  for (const [file, text] of programsOf('from-replicate')) writeFileSync(join(folder, 'guide', file), text)
  service = await startService({ simulator: { speed: 50, models: MODELS } })
})
afterAll(() => service.stop())

const TARGETS = {
  'the simulator': () => service.simulator.apiUrl,
  "Replicate's API in front": () => `${service.url}/replicate/v1`,
}

test.each(['run.mjs', 'ai-sdk.mjs', 'langchain.mjs'])('%s of the guide', async (program) => {
  const ran = spawnNode(join(folder, 'guide', program), [], {
    cwd: folder,
    env: { GENQUEUE_URL: service.url, GENQUEUE_API_KEY: TEST_KEY },
  })
  const { code } = await ran.exited
  expect(code, `${ran.stdout}${ran.stderr}`).toBe(0)
  expect(ran.stdout).toMatch(/http|image|\w{3}/)
})

describe.each(Object.entries(TARGETS))('with %s', (_target, api) => {
  test.each(['replicate-js', 'ai-sdk', 'mcp', 'langchain', 'llamaindex'])('%s', async (program) => {
    const ran = spawnNode(join(folder, `${program}.mjs`), [], {
      cwd: folder,
      env: { API: api(), TOKEN: TEST_KEY },
    })
    const { code } = await ran.exited
    expect(code, `${ran.stdout}${ran.stderr}`).toBe(0)
  })
})
