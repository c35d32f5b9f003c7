import { useState } from 'react'
import { Search, X } from 'lucide-react'
import { Link } from 'wouter'
import { amend, go, runPath, STATUSES, useAddress, withQuery } from '../address.ts'
import { useCatalogue } from '../catalogue.ts'
import { humanize } from '../format.ts'

/** Filters of the sheet, kept in the URL. */
export function Filters() {
  return (
    <>
      <StatusFilter />
      <PresetFilter />
      <SearchBox />
    </>
  )
}

function StatusFilter() {
  const { status } = useAddress()
  return (
    <nav className="filters" aria-label="Filter by status">
      {[null, ...STATUSES].map((each) => (
        <Link
          key={each ?? 'all'}
          href={withQuery({ status: each })}
          className="filter"
          aria-current={each === status ? 'page' : undefined}
        >
          {each === null ? 'All' : humanize(each)}
        </Link>
      ))}
    </nav>
  )
}

function PresetFilter() {
  const { ofPreset, ofBatch } = useAddress()
  const presets = useCatalogue().presets.items
  if (ofBatch)
    return (
      <Link className="button small" href={withQuery({ batch: null })} aria-label="Runs of every batch">
        One batch
        <X />
      </Link>
    )
  if (presets.length === 0 && !ofPreset) return null
  // The filter is in effect even if the presets could not be read, or this one was removed.
  const unlisted = ofPreset && !presets.some(({ name }) => name === ofPreset) ? ofPreset : null
  return (
    <select
      className="preset-filter"
      aria-label="Filter by preset"
      value={ofPreset ?? ''}
      onChange={(event) => amend({ of: event.target.value })}
    >
      <option value="">Every preset</option>
      {unlisted && <option value={unlisted}>{unlisted}</option>}
      {presets.map(({ name, title }) => (
        <option key={name} value={name}>
          {title}
        </option>
      ))}
    </select>
  )
}

function SearchBox() {
  const { search } = useAddress()
  const [typed, setTyped] = useState<string | null>(null)
  const text = typed ?? search
  return (
    <div className="search">
      <Search />
      <input
        type="search"
        id="search"
        value={text}
        placeholder="Filter loaded runs"
        aria-label="Filter the loaded runs by prompt, model or id"
        spellCheck={false}
        onChange={(event) => {
          setTyped(event.target.value)
          amend({ q: event.target.value })
        }}
        onBlur={() => setTyped(null)}
        onKeyDown={(event) => {
          // A run id opens that run, even if it is not loaded.
          const id = /\bjob_[0-9A-Za-z]{26}\b/.exec(text)?.[0]
          if (event.key === 'Enter' && id) go(runPath(id))
          if (event.key === 'Escape') {
            setTyped('')
            amend({ q: null })
            event.currentTarget.blur()
          }
        }}
      />
      <kbd aria-hidden="true">/</kbd>
    </div>
  )
}
