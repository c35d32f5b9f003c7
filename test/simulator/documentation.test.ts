import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { habitsSchema } from '../../src/simulator/habits.ts'
import { describeModels } from '../../src/simulator/models/catalogue.ts'
import { usage } from '../../src/simulator/options.ts'
import { simulatorFor } from './support/simulator.ts'

const page = readFileSync(new URL('../../docs/simulator.md', import.meta.url), 'utf8')

/** A part of the page, from its heading to the next. */
function part(heading: string): string {
  const [, after = ''] = page.split(`\n${heading}\n`)
  return after.split(/\n#+ /)[0] ?? ''
}

const samples = (text: string) =>
  [...text.matchAll(/```json\n([^]*?)```/g)].map(([, sample = '']) => JSON.parse(sample))

describe('docs/simulator.md', () => {
  test('its example faults are accepted', async () => {
    const simulator = await simulatorFor()
    const faults = samples(part('## Faults'))
    expect(faults.length).toBeGreaterThan(5)
    for (const fault of faults) expect(await simulator.faults(fault)).toMatchObject({ status: 200 })
  })

  test('its example models are accepted', () => {
    const [file] = samples(part('### Your own models'))
    expect([...describeModels(file).pages.keys()]).toContain('acme/greeter')
  })

  test('it names every flag, habit and fault', async () => {
    const flags = [...usage().matchAll(/--[a-z-]+/g)].map(([flag]) => flag).filter((flag) => flag !== '--help')
    const simulator = await simulatorFor()
    const { body } = await simulator.faults({
      nothing: {},
      create: { nothing: 1 },
      webhooks: { nothing: 1 },
      predictions: { nothing: 1 },
    })
    const faults = [...JSON.stringify(body).matchAll(/expected one of: ([\w, ]+)/g)].flatMap(([, names = '']) =>
      names.split(', '),
    )
    expect(faults).toContain('cut_after_accept')
    for (const name of [...flags, ...Object.keys(habitsSchema.shape), ...faults]) expect(page).toContain(`\`${name}\``)
  })
})
