import type { Catalogue, Examined } from '../catalogue/catalogue.ts'
import type { Preset } from '../catalogue/rules/preset.ts'
import { mapLimited } from '../values/concurrency.ts'
import { failed, ok, skipped, warning } from './rules/check.ts'
import { single, type CheckGroup } from './run-checks.ts'

/** Wait for Replicate's answer about one preset, ms. */
const MODEL_MS = 8_000
/** Presets that are compared at once. */
const PRESETS_AT_ONCE = 4

/** Whether the model of each preset exists, in its version, and takes what the preset sends. */
export const presetsCheck = (catalogue: Pick<Catalogue, 'list' | 'examine'>): CheckGroup =>
  single(
    'presets',
    async () => {
      const presets = catalogue.list()
      const lines = await mapLimited(presets, PRESETS_AT_ONCE, async (preset): Promise<[Preset, Examined]> => [
        preset,
        await catalogue.examine(preset, MODEL_MS),
      ])
      const details = Object.fromEntries(
        lines.map(([preset, found]): [string, string] => [preset.name, presetWords(preset, found)]),
      )
      const of = (...kinds: Examined['kind'][]): string[] =>
        lines.flatMap(([{ name }, { kind }]) => (kinds.includes(kind) ? [name] : [])).sort()
      if (presets.length > 0 && of('unread').length === presets.length)
        return skipped('No model could be read from Replicate.', 'Correct what the check `replicate` names.', details)
      const [bad, doubtful] = [of('missing', 'unfit'), of('changed', 'unchecked', 'unread')]
      const named = (names: string[]): string => names.map((name) => `${name}: ${details[name]}.`).join(' ')
      if (bad.length > 0)
        return failed(
          named([...bad, ...doubtful]),
          'Correct model, version or input of the preset (docs/presets.md), and reload with SIGHUP. The models of private accounts need the right token.',
          details,
        )
      if (doubtful.length > 0)
        return warning(
          named(doubtful),
          'Review the preset, and pin the new schema (docs/presets.md). If a model could not be read, run the doctor again.',
          details,
        )
      return presets.length === 0
        ? skipped('There are no presets.')
        : ok(`The models of all ${presets.length} presets exist and take their inputs.`, details)
    },
    60_000,
  )

function presetWords({ model, version, deployment }: Preset, found: Examined): string {
  const what =
    deployment !== null
      ? `the deployment ${deployment}`
      : version === null
        ? `${model}`
        : `version ${version.slice(0, 8)}… of ${model}`
  switch (found.kind) {
    case 'fits':
      return `fits ${what}`
    case 'changed':
      return `${what} has another schema than the pinned one`
    case 'missing':
      return `Replicate has no ${what.replace(/^the /, '')}`
    case 'unread':
      return `${what} could not be read`
    case 'unchecked':
      return `the schema of ${what} is not used (${found.reason})`
    case 'unfit':
      return found.wrong.map(({ pointer, detail }) => `${pointer} ${detail.replace(/\.$/, '')}`).join(', ')
  }
}
