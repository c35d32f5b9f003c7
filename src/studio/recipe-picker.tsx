import { useId, useState, type KeyboardEvent } from 'react'
import { ChevronDown } from 'lucide-react'
import { useCatalogue, useReadCatalogue } from './catalogue.ts'
import { credits } from './money.ts'
import { usePanel } from './panel.ts'
import { Problem } from './problem.tsx'
import type { Choice, Recipe } from './recipe.ts'

/** `owner/name`, or `owner/name:<version>`. */
const ADDRESS = /^[\w.-]+\/[\w.-]+(:[0-9a-f]{64})?$/

interface Props {
  choice: Choice
  /** Null until the choice is loaded. */
  recipe: Recipe | null
  onChoose: (choice: Choice) => void
}

interface Item {
  choice: Choice
  title: string
  owner: string | null
  description: string | null
  /** Shown at the end of the line. */
  aside: string | null
}

const ofPreset = (name: string): Choice => ({ preset: name, model: null })
const ofModel = (name: string): Choice => ({ preset: null, model: name })

function itemOfModel(name: string, description: string | null): Item {
  const [owner = '', ...rest] = name.split('/')
  return { choice: ofModel(name), title: rest.join('/'), owner, description, aside: null }
}

export function RecipePicker({ choice, recipe, onChoose }: Props) {
  const catalogue = useCatalogue()
  const readCatalogue = useReadCatalogue()
  const { isOpen, box, button, toggle, close } = usePanel()
  const [search, setSearch] = useState('')
  const panelId = useId()
  const typed = search.trim()
  const found = (text: string) => text.toLowerCase().includes(typed.toLowerCase())
  const presets = catalogue.presets.items
    .filter(({ name, title, description }) => found(`${name} ${title} ${description}`))
    .map(({ name, title, description, estimate }): Item => ({
      choice: ofPreset(name),
      title,
      owner: null,
      description,
      aside: estimate === null ? null : credits(estimate),
    }))
  const models = catalogue.models.items
    .filter(({ name, description }) => found(`${name} ${description ?? ''}`))
    .map(({ name, description }) => itemOfModel(name, description))
  const other = ADDRESS.test(typed) && !catalogue.models.items.some(({ name }) => name === typed)
  const groups = [
    { name: 'Presets', items: presets, list: catalogue.presets },
    {
      name: 'Models',
      items: [...models, ...(other ? [itemOfModel(typed, 'Look it up on Replicate')] : [])],
      list: catalogue.models,
    },
  ].filter(({ items, list }) => items.length > 0 || list.loading)
  const problem = catalogue.presets.problem ?? catalogue.models.problem

  function choose(chosen: Choice): void {
    close()
    setSearch('')
    onChoose(chosen)
  }

  function onKey(event: KeyboardEvent): void {
    if (event.key === 'Enter' && event.target instanceof HTMLInputElement) {
      event.preventDefault()
      const first = other ? itemOfModel(typed, null) : groups.flatMap(({ items }) => items)[0]
      if (first) choose(first.choice)
      return
    }
    if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return
    event.preventDefault()
    const stops = [...(box.current?.querySelectorAll<HTMLElement>('[data-stop]') ?? [])]
    const at = stops.findIndex((stop) => stop === document.activeElement)
    stops.at((at + (event.key === 'ArrowDown' ? 1 : -1) + stops.length) % stops.length)?.focus()
  }

  return (
    <div className="field picker" ref={box}>
      <span className="label" id={`${panelId}-label`}>
        Preset or model
      </span>
      <button
        type="button"
        ref={button}
        className="picker-button"
        aria-expanded={isOpen}
        aria-controls={panelId}
        aria-labelledby={`${panelId}-label ${panelId}-chosen`}
        onClick={toggle}
      >
        <span className="picker-text" id={`${panelId}-chosen`}>
          <Name title={recipe?.title ?? choice.preset ?? choice.model} owner={recipe?.owner ?? null} />
          {recipe?.description && <span className="picker-description">{recipe.description}</span>}
        </span>
        <ChevronDown />
      </button>
      {isOpen && (
        <div className="picker-panel" id={panelId} onKeyDown={onKey}>
          <input
            data-stop
            autoFocus
            value={search}
            onChange={(event) => setSearch(event.target.value)}
            placeholder="Search, or any owner/name"
            aria-label="Search presets and models, or give any owner/name"
            spellCheck={false}
            autoCapitalize="none"
          />
          {problem !== null && (
            <div className="picker-problem">
              <Problem text={problem} onRetry={readCatalogue} />
            </div>
          )}
          <div className="picker-groups">
            {groups.map(({ name, items, list }) => (
              <section key={name} aria-label={name}>
                <h3 className="picker-group">{name}</h3>
                <ul>
                  {items.map((item) => (
                    <li key={item.title}>
                      <button
                        type="button"
                        data-stop
                        className="picker-item"
                        aria-current={item.choice.preset === choice.preset && item.choice.model === choice.model}
                        onClick={() => choose(item.choice)}
                      >
                        <span className="picker-line">
                          <Name title={item.title} owner={item.owner} />
                          {item.aside && <span className="muted tabular">{item.aside}</span>}
                        </span>
                        {item.description && <span className="picker-description">{item.description}</span>}
                      </button>
                    </li>
                  ))}
                </ul>
                {list.loading && <p className="picker-none">Loading…</p>}
              </section>
            ))}
            {groups.length === 0 && problem === null && (
              <p className="picker-none">No match. For any other model, type its owner/name.</p>
            )}
          </div>
        </div>
      )}
    </div>
  )
}

function Name({ title, owner }: { title: string | null; owner: string | null }) {
  if (title === null) return <span className="muted">Choose a preset or model</span>
  return (
    <span className="model-name" dir="auto">
      {owner && <span className="muted">{owner}/</span>}
      {title}
    </span>
  )
}
