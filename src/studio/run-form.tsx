import { useRef, useState } from 'react'
import { Link } from 'wouter'
import type { Json, JsonObject } from '../client/types.ts'
import { go, runPath } from './address.ts'
import { forgetReplaced, replacedDraft, useDraft } from './drafts.ts'
import { PriceLine } from './price-line.tsx'
import type { Recipe } from './recipe.ts'
import { RefusalNote } from './refusal-note.tsx'
import { samplePromptFor } from './samples.ts'
import { checkInput, fieldOfPointer, parseInput, type FieldErrors } from './schema-form/check-input.ts'
import { FormFields } from './schema-form/form-fields.tsx'
import type { Field } from './schema-form/fields.ts'
import { useSubmit, type Refusal } from './submit.ts'

/** The aspect ratio is always sent, so the picture's frame is known before the picture. */
function shapeOf(fields: readonly Field[], input: JsonObject): JsonObject {
  const unsaid = fields.filter((field) => field.kind === 'ratio' && input[field.name] === undefined)
  return Object.fromEntries(unsaid.flatMap(({ name, default: usual }) => (usual === undefined ? [] : [[name, usual]])))
}

/** Replaces JSON pointers with field titles if the whole message is about fields. */
function messageOf({ message, errors }: Refusal, fields: readonly Field[]): string {
  const named = errors.map(({ pointer, detail }) => {
    const field = fields.find(({ name }) => name === fieldOfPointer(pointer))
    return field ? `${field.title}: ${detail}` : null
  })
  return named.length > 0 && named.every((each) => each !== null) ? named.join(' ') : message
}

export function RunForm({ recipe, focus }: { recipe: Recipe; focus: boolean }) {
  const { key, fields, target } = recipe
  const { submit, sending, refusal, clear } = useSubmit()
  const { draft, set, replace } = useDraft(key)
  const [json, setJson] = useState<string | null>(() => (fields.length === 0 ? '{}' : null))
  const [errors, setErrors] = useState<FieldErrors>({})
  const [before, setBefore] = useState(() => replacedDraft(key))
  const [last, setLast] = useState<string | null>(null)
  const form = useRef<HTMLFormElement>(null)
  // On wide screens the prompt takes the focus, unless a restored tile has it.
  const [takesFocus] = useState(
    () => focus || (document.activeElement === document.body && matchMedia('(min-width: 56rem)').matches),
  )

  const parsed = json === null ? { input: draft } : parseInput(json)
  const shownErrors = mergeErrors(errors, refusal?.errors ?? [])
  const strayErrors = (refusal?.errors ?? []).filter(({ pointer }) => {
    const field = fieldOfPointer(pointer)
    return json !== null || !fields.some((each) => each.name === field)
  })

  function change(name: string, value: Json | undefined): void {
    set(name, value)
    setErrors({})
    clear()
  }

  function write(text: string): void {
    setJson(text)
    setErrors({})
    clear()
    const typed = parseInput(text)
    if ('input' in typed) replace(typed.input)
  }

  async function run(): Promise<void> {
    if (sending || 'problem' in parsed) return
    const input = json === null ? { ...parsed.input, ...shapeOf(fields, parsed.input) } : parsed.input
    const found = checkInput(fields, input)
    setErrors(found)
    if (Object.keys(found).length > 0) {
      focusFirstError()
      return
    }
    const job = await submit({ ...target, input })
    if (!job) {
      focusFirstError()
      return
    }
    setLast(job.id)
    dropBefore()
    // On a narrow screen the composer is a separate page, so shows the sheet with the new run.
    if (location.pathname === '/new') go('/')
  }

  function dropBefore(): void {
    forgetReplaced(key)
    setBefore(null)
  }

  function focusFirstError(): void {
    requestAnimationFrame(() => form.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus())
  }

  const problems = json !== null && 'input' in parsed ? schemaNotes(fields, parsed.input, shownErrors) : []

  return (
    <form
      ref={form}
      className="run-form"
      noValidate
      onKeyDown={(event) => {
        if (event.key !== 'Enter' || !(event.metaKey || event.ctrlKey)) return
        event.preventDefault()
        void run()
      }}
      onSubmit={(event) => {
        event.preventDefault()
        void run()
      }}
    >
      {before && json === null && (
        <p className="draft-note muted">
          The input of that run has replaced your draft.{' '}
          <button
            type="button"
            className="quiet"
            onClick={() => {
              replace(before)
              dropBefore()
            }}
          >
            Restore draft
          </button>
        </p>
      )}
      <div className="run-fields">
        {fields.length > 0 && (
          <button
            type="button"
            className="quiet json-toggle"
            disabled={'problem' in parsed}
            onClick={() => setJson(json === null ? JSON.stringify(draft, null, 2) : null)}
          >
            {json === null ? 'Edit as JSON' : 'Back to the form'}
          </button>
        )}
        {json === null ? (
          <FormFields
            fields={fields}
            draft={draft}
            onChange={change}
            errors={shownErrors}
            placeholder={samplePromptFor(key) ?? undefined}
            autoFocus={takesFocus}
          />
        ) : (
          <div className={`field${'problem' in parsed ? ' has-error' : ''}`}>
            <label htmlFor="input-json">Input as JSON</label>
            <textarea
              id="input-json"
              className="code"
              rows={14}
              spellCheck={false}
              value={json}
              aria-invalid={'problem' in parsed || problems.length > 0}
              aria-describedby="input-json-note"
              onChange={(event) => write(event.target.value)}
            />
            <div id="input-json-note">
              {'problem' in parsed && <p className="field-error">{parsed.problem}</p>}
              {problems.map((each) => (
                <p key={each} className="field-error">
                  {each}
                </p>
              ))}
            </div>
          </div>
        )}
      </div>
      <div className="run-foot">
        {refusal && <RefusalNote refusal={refusal} message={messageOf(refusal, fields)} errors={strayErrors} />}
        <PriceLine recipe={recipe} inputs={[draft]} />
        <button type="submit" className="button primary wide" disabled={sending || 'problem' in parsed}>
          {sending ? 'Sending…' : 'Run'}
          <kbd aria-hidden="true">{/Mac|iPhone|iPad/.test(navigator.userAgent) ? '⌘' : 'Ctrl'} ↵</kbd>
        </button>
        <p className="run-said" role="status">
          {last && !refusal && !sending && (
            <>
              Submitted. <Link href={runPath(last)}>Open the run</Link>
            </>
          )}
        </p>
      </div>
    </form>
  )
}

export function mergeErrors(own: FieldErrors, returned: readonly { pointer: string; detail: string }[]): FieldErrors {
  const merged = { ...own }
  for (const { pointer, detail } of returned) {
    const field = fieldOfPointer(pointer)
    if (field) merged[field] ??= detail
  }
  return merged
}

/** The JSON editor has no place beside fields, so each error names its field. */
function schemaNotes(fields: readonly Field[], input: JsonObject, returned: FieldErrors): string[] {
  const found = { ...checkInput(fields, input), ...returned }
  const unknown = Object.keys(input).filter((key) => !fields.some((field) => field.name === key))
  const notes = Object.entries(found).map(([field, problem]) => `${field}: ${problem}`)
  if (fields.length > 0) notes.push(...unknown.map((key) => `${key}: unknown field`))
  return notes
}
