import { useQuery } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { Link, useRoute } from 'wouter'
import { amend, useAddress } from './address.ts'
import { useCatalogue, useReadCatalogue } from './catalogue.ts'
import { replaceDraft } from './drafts.ts'
import { errorText } from './error-text.ts'
import { Problem } from './problem.tsx'
import { choiceOf, recipeOfModel, recipeOfPreset, sayable, usualChoice, type Choice, type Recipe } from './recipe.ts'
import { RecipePicker } from './recipe-picker.tsx'
import { RunForm } from './run-form.tsx'
import { useStudio } from './studio-context.ts'
import { useMay } from './who.ts'

export function Composer() {
  const may = useMay('jobs:write')
  return (
    <section className="composer" aria-label="New run">
      <div className="composer-head">
        <h2>New run</h2>
        <Link className="quiet only-narrow" href="/">
          Close
        </Link>
      </div>
      {!may && <p className="composer-note muted">Starting runs needs the scope jobs:write, which the key lacks.</p>}
      {may && <RecipeForm />}
    </section>
  )
}

function RecipeForm() {
  const { from } = useAddress()
  const [isAlone] = useRoute('/new')
  const chosen = useRecipe()
  const copying = useCopy(from)
  return (
    <>
      <ChosenRecipe chosen={chosen} problem={copying.problem} />
      {chosen.recipe && !copying.busy && <RunForm key={chosen.recipe.key} recipe={chosen.recipe} focus={isAlone} />}
    </>
  )
}

/** The choice of a preset or a model, with what is wrong with it. */
export function ChosenRecipe({ chosen, problem = null }: { chosen: Chosen; problem?: string | null }) {
  const readCatalogue = useReadCatalogue()
  const { choice, recipe, lists } = chosen
  return (
    <>
      {choice && (
        <RecipePicker choice={choice} recipe={recipe} onChoose={({ preset, model }) => amend({ preset, model })} />
      )}
      <Problem text={chosen.problem ?? problem} onRetry={lists ? readCatalogue : undefined} />
      {!recipe && !chosen.problem && <div className="composer-loading" aria-hidden="true" />}
    </>
  )
}

export interface Chosen {
  /** Null until the catalogue is loaded. */
  choice: Choice | null
  recipe: Recipe | null
  problem: string | null
  /** Whether the problem is that of a list of the catalogue, which can be read again. */
  lists: boolean
}

/** The recipe chosen in the URL, else the usual one; looks up an unknown model by name. */
export function useRecipe(): Chosen {
  const { client } = useStudio()
  const catalogue = useCatalogue()
  const { preset: namedPreset, model: namedModel } = useAddress()
  const named = namedPreset !== null || namedModel !== null
  const choice = named ? { preset: namedPreset, model: namedModel } : usualChoice(catalogue)
  const { presets, models } = catalogue
  const preset = choice?.preset ?? null
  const address = choice?.model ?? null
  const plainName = address?.split(':')[0] ?? ''
  const known = models.items.find(({ name }) => name === plainName)
  const { data: model = known, error } = useQuery({
    queryKey: ['model', plainName],
    queryFn: () => client.model(plainName),
    enabled: preset === null && address !== null && !known && !models.loading,
    staleTime: Infinity,
  })

  const ready = (recipe: Recipe): Chosen => ({ choice, recipe, problem: null, lists: false })
  const missing = (problem: string | null, lists = false): Chosen => ({ choice, recipe: null, problem, lists })
  if (preset !== null) {
    const found = presets.items.find(({ name }) => name === preset)
    if (found) return ready(recipeOfPreset(found))
    if (presets.loading) return missing(null)
    return presets.problem ? missing(presets.problem, true) : missing(`The preset ${preset} does not exist.`)
  }
  if (address !== null) {
    return model ? ready(recipeOfModel(address, model)) : missing(error && errorText(error))
  }
  if (choice === null) return missing(null)
  const problem = presets.problem ?? models.problem
  return problem ? missing(problem, true) : missing('This service offers no presets and no models.')
}

/** "Edit and run": another run's input becomes the draft. */
function useCopy(from: string | null): { busy: boolean; problem: string | null } {
  const { runs } = useStudio()
  const catalogue = useCatalogue()
  const presets = catalogue.presets.loading ? null : catalogue.presets.items
  const [failure, setFailure] = useState<{ of: string; message: string } | null>(null)
  useEffect(() => {
    if (!from || !presets) return undefined
    let current = true
    const fill = async () => {
      const known = runs.job(from)
      const job = known && !known.input_truncated ? known : await runs.read(from)
      const choice = choiceOf(job, presets)
      const preset = presets.find(({ name }) => name === choice.preset)
      if (!current) return
      if (preset) {
        const recipe = recipeOfPreset(preset)
        replaceDraft(recipe.key, sayable(recipe, job.input ?? {}))
      } else if (choice.model) replaceDraft(choice.model, job.input ?? {})
      amend({ from: null, preset: choice.preset, model: choice.model })
    }
    fill().catch((error: unknown) => current && setFailure({ of: from, message: errorText(error) }))
    return () => void (current = false)
  }, [runs, presets, from])
  const problem = failure?.of === from ? failure.message : null
  return { busy: from !== null && problem === null, problem }
}
