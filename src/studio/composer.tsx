import { useEffect, useState } from 'react'
import type { Catalogue } from './catalogue.ts'
import { replaceDraft } from './drafts.ts'
import { Problem } from './problem.tsx'
import { choiceOf, recipeOfModel, recipeOfPreset, sayable, usualChoice, type Choice, type Recipe } from './recipe.ts'
import { RecipePicker } from './recipe-picker.tsx'
import { amend, Link, useAddress } from './router.tsx'
import { RunForm } from './run-form.tsx'
import { errorText } from './run-store.ts'
import { useStudio } from './studio-context.ts'
import { useCatalogue } from './use-catalogue.ts'
import { useMay } from './who.ts'

export function Composer() {
  const { value: catalogue, problem } = useCatalogue()
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
      {may && catalogue && <RecipeForm catalogue={catalogue} />}
      <Problem text={problem} />
      {may && !catalogue && !problem && <div className="composer-loading" aria-hidden="true" />}
    </section>
  )
}

function RecipeForm({ catalogue }: { catalogue: Catalogue }) {
  const address = useAddress()
  const chosen = address.preset !== null || address.model !== null
  const choice = chosen ? { preset: address.preset, model: address.model } : usualChoice(catalogue)
  const { recipe, problem } = useRecipe(catalogue, choice)
  const copying = useCopy(catalogue, address.from)
  return (
    <>
      <RecipePicker
        catalogue={catalogue}
        choice={choice}
        recipe={recipe}
        onChoose={({ preset, model }) => amend({ preset, model })}
      />
      <Problem text={problem ?? copying.problem} />
      {recipe && !copying.busy && <RunForm key={recipe.key} recipe={recipe} focus={address.page === 'new'} />}
      {!recipe && !problem && <div className="composer-loading" aria-hidden="true" />}
    </>
  )
}

/** The chosen recipe; looks up an unknown model by name. */
export function useRecipe(
  catalogue: Catalogue,
  { preset, model: address }: Choice,
): { recipe: Recipe | null; problem: string | null } {
  const { client } = useStudio()
  const [looked, setLooked] = useState<{ of: string; recipe: Recipe | null; problem: string | null } | null>(null)
  const plainName = address?.split(':')[0] ?? ''
  const known = catalogue.models.find(({ name }) => name === plainName)
  const unknown = preset === null && !known ? address : null

  useEffect(() => {
    if (unknown === null) return undefined
    let current = true
    client.model(plainName).then(
      (model) => current && setLooked({ of: unknown, recipe: recipeOfModel(unknown, model), problem: null }),
      (error: unknown) => current && setLooked({ of: unknown, recipe: null, problem: errorText(error) }),
    )
    return () => void (current = false)
  }, [client, unknown, plainName])

  if (preset !== null) {
    const found = catalogue.presets.find(({ name }) => name === preset)
    return found
      ? { recipe: recipeOfPreset(found), problem: null }
      : { recipe: null, problem: `The preset ${preset} does not exist.` }
  }
  if (known && address !== null) return { recipe: recipeOfModel(address, known), problem: null }
  return looked !== null && looked.of === unknown ? looked : { recipe: null, problem: null }
}

/** "Edit and run": another run's input becomes the draft. */
function useCopy(catalogue: Catalogue, from: string | null): { busy: boolean; problem: string | null } {
  const { runs } = useStudio()
  const [failure, setFailure] = useState<{ of: string; message: string } | null>(null)
  useEffect(() => {
    if (!from) return undefined
    let current = true
    const fill = async () => {
      const job = runs.job(from) ?? (await runs.read(from))
      const choice = choiceOf(job, catalogue)
      const preset = catalogue.presets.find(({ name }) => name === choice.preset)
      if (!current) return
      if (preset) {
        const recipe = recipeOfPreset(preset)
        replaceDraft(recipe.key, sayable(recipe, job.input ?? {}))
      } else if (choice.model) replaceDraft(choice.model, job.input ?? {})
      amend({ from: null, preset: choice.preset, model: choice.model })
    }
    fill().catch((error: unknown) => current && setFailure({ of: from, message: errorText(error) }))
    return () => void (current = false)
  }, [runs, catalogue, from])
  const problem = failure?.of === from ? failure.message : null
  return { busy: from !== null && problem === null, problem }
}
