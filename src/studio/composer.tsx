import { useEffect, useRef, useState } from 'react'
import type { JobRequest, Json, JsonObject, Model } from '../client/types.ts'
import { ModelPicker } from './model-picker.tsx'
import { amend, go, Link, runPath, useAddress } from './router.tsx'
import { words } from './runs.ts'
import { samplePromptFor } from './samples.ts'
import { checkInput, fieldOfPointer, parseInput, type FieldErrors } from './schema-form/check-input.ts'
import { FieldInput } from './schema-form/field-input.tsx'
import { fieldsOf, type Field } from './schema-form/fields.ts'
import { useStudio } from './studio-context.ts'
import { useSubmit } from './submit.ts'

const DRAFTS = 'genqueue.draft:'

/** What was typed survives a reload and a look at a run; it ends with the tab. */
function readDraft(model: string): JsonObject {
  try {
    const parsed = parseInput(sessionStorage.getItem(DRAFTS + model) ?? '')
    return 'input' in parsed ? parsed.input : {}
  } catch {
    return {}
  }
}

function keepDraft(model: string, draft: JsonObject): void {
  try {
    sessionStorage.setItem(DRAFTS + model, JSON.stringify(draft))
  } catch {
    // A draft that cannot be kept is not worth an error.
  }
}

export function Composer() {
  const { client, runs } = useStudio()
  const address = useAddress()
  const [models, setModels] = useState<readonly Model[]>([])
  const [looked, setLooked] = useState<Model | null>(null)
  const [failure, setFailure] = useState<{ of: string; message: string } | null>(null)

  const name = address.model ?? models[0]?.name ?? null
  const plainName = name?.split(':')[0] ?? null
  const model = models.find((each) => each.name === plainName) ?? (looked?.name === plainName ? looked : null)
  const problem = failure && (failure.of === 'models' || failure.of === name) ? failure.message : null

  useEffect(() => {
    let current = true
    client.models().then(
      (known) => current && setModels(known),
      (error: unknown) => current && setFailure({ of: 'models', message: words(error) }),
    )
    return () => void (current = false)
  }, [client])

  // A model that is not among the known ones is looked up by its name.
  useEffect(() => {
    if (!name || !plainName || model || models.length === 0) return undefined
    let current = true
    client.model(plainName).then(
      (found) => current && setLooked(found),
      (error: unknown) => current && setFailure({ of: name, message: words(error) }),
    )
    return () => void (current = false)
  }, [client, name, plainName, model, models.length])

  // "Edit and run": the input of another run becomes the draft.
  const { from } = address
  useEffect(() => {
    if (!from) return undefined
    let current = true
    const fill = async () => {
      const job = runs.job(from) ?? (await runs.read(from))
      if (!current) return
      const source = job.version?.includes(':') ? job.version : job.model
      if (source) keepDraft(source, job.input ?? {})
      amend({ from: null, model: source })
    }
    fill().catch((error: unknown) => current && setFailure({ of: 'models', message: words(error) }))
    return () => void (current = false)
  }, [from, runs])

  return (
    <section className="composer" aria-label="New run">
      <div className="composer-head">
        <h2>New run</h2>
        <Link className="quiet only-narrow" href="/">
          Close
        </Link>
      </div>
      <ModelPicker
        models={models}
        chosen={name}
        description={model?.description ?? null}
        onChoose={(chosen) => amend({ model: chosen })}
      />
      {problem && (
        <p className="composer-problem" role="alert">
          {problem}
        </p>
      )}
      {model && name && !from && <RunForm key={name} model={model} name={name} focus={address.page === 'new'} />}
      {!model && !problem && <div className="composer-loading" aria-hidden="true" />}
    </section>
  )
}

/** Only official models run by their name; any other needs a version, and its newest is meant when none was said. */
function targetOf(name: string, { official, version }: Model): Pick<JobRequest, 'model' | 'version'> {
  if (name.includes(':')) return { version: name }
  return official || version === null ? { model: name } : { version: `${name}:${version}` }
}

/** The aspect ratio is always said, so that the picture has its place before it is there. */
function shapeOf(fields: readonly Field[], input: JsonObject): JsonObject {
  const unsaid = fields.filter((field) => field.kind === 'ratio' && input[field.name] === undefined)
  return Object.fromEntries(unsaid.flatMap(({ name, default: usual }) => (usual === undefined ? [] : [[name, usual]])))
}

function RunForm({ model, name, focus }: { model: Model; name: string; focus: boolean }) {
  const { submit, sending, refusal, clear } = useSubmit()
  const fields = fieldsOf(model)
  const [draft, setDraft] = useState<JsonObject>(() => readDraft(name))
  const [json, setJson] = useState<string | null>(() => (fields.length === 0 ? '{}' : null))
  const [errors, setErrors] = useState<FieldErrors>({})
  const [unfolded, setUnfolded] = useState(false)
  const [last, setLast] = useState<string | null>(null)
  const form = useRef<HTMLFormElement>(null)
  // Where there is room for it the prompt is ready to be typed, unless a tile that was come back to has the focus.
  const [takesFocus] = useState(
    () => focus || (document.activeElement === document.body && matchMedia('(min-width: 56rem)').matches),
  )

  const parsed = json === null ? { input: draft } : parseInput(json)
  const important = fields.filter((field) => field.important)
  const others = fields.filter((field) => !field.important)
  const setAmongOthers = others.filter((field) => draft[field.name] !== undefined).length
  const shownErrors = mergeErrors(errors, refusal?.errors ?? [])
  const strayErrors = (refusal?.errors ?? []).filter(({ pointer }) => {
    const field = fieldOfPointer(pointer)
    return json !== null || !fields.some((each) => each.name === field)
  })
  const foldedError = others.some((field) => shownErrors[field.name])

  function change(input: JsonObject): void {
    setDraft(input)
    keepDraft(name, input)
    setErrors({})
    clear()
  }

  function set(field: Field, value: Json | undefined): void {
    const { [field.name]: _before, ...rest } = draft
    change(value === undefined ? rest : { ...rest, [field.name]: value })
  }

  function write(text: string): void {
    setJson(text)
    setErrors({})
    clear()
    const typed = parseInput(text)
    if ('input' in typed) {
      setDraft(typed.input)
      keepDraft(name, typed.input)
    }
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
    const job = await submit({ ...targetOf(name, model), input, webhook_events: ['output', 'logs'] })
    if (!job) {
      focusFirstError()
      return
    }
    setLast(job.id)
    // On a narrow screen the composer is a page of its own, and the new run is to be seen.
    if (location.pathname === '/new') go('/')
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
          <>
            {important.map((field, at) => (
              <FieldInput
                key={field.name}
                field={field}
                value={draft[field.name]}
                onChange={(value) => set(field, value)}
                error={shownErrors[field.name] ?? null}
                placeholder={at === 0 ? (samplePromptFor(name) ?? undefined) : undefined}
                autoFocus={at === 0 && takesFocus}
              />
            ))}
            {others.length > 0 && (
              <details
                className="more"
                open={unfolded || foldedError}
                onToggle={(event) => setUnfolded(event.currentTarget.open)}
              >
                <summary>
                  More options
                  <span className="more-count">{setAmongOthers > 0 ? `${setAmongOthers} set` : others.length}</span>
                </summary>
                <div className="more-fields">
                  {others.map((field) => (
                    <FieldInput
                      key={field.name}
                      field={field}
                      value={draft[field.name]}
                      onChange={(value) => set(field, value)}
                      error={shownErrors[field.name] ?? null}
                    />
                  ))}
                </div>
              </details>
            )}
          </>
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
        {refusal && (
          <div className="composer-problem" role="alert">
            <p>{refusal.message}</p>
            {strayErrors.map(({ pointer, detail }) => (
              <p key={pointer + detail}>
                <code>{pointer}</code> {detail}
              </p>
            ))}
          </div>
        )}
        <button type="submit" className="button primary wide" disabled={sending || 'problem' in parsed}>
          {sending ? 'Sending…' : 'Run'}
          <kbd aria-hidden="true">{/Mac|iPhone|iPad/.test(navigator.userAgent) ? '⌘' : 'Ctrl'} ↵</kbd>
        </button>
        <p className="run-said" role="status">
          {last && !refusal && !sending && (
            <>
              Queued. <Link href={runPath(last)}>Open the run</Link>
            </>
          )}
        </p>
      </div>
    </form>
  )
}

function mergeErrors(own: FieldErrors, answered: readonly { pointer: string; detail: string }[]): FieldErrors {
  const merged = { ...own }
  for (const { pointer, detail } of answered) {
    const field = fieldOfPointer(pointer)
    if (field) merged[field] ??= detail
  }
  return merged
}

/** In the editor errors cannot stand beside their field, so each names it. */
function schemaNotes(fields: readonly Field[], input: JsonObject, answered: FieldErrors): string[] {
  const found = { ...checkInput(fields, input), ...answered }
  const unknown = Object.keys(input).filter((key) => !fields.some((field) => field.name === key))
  const notes = Object.entries(found).map(([field, problem]) => `${field}: ${problem}`)
  if (fields.length > 0) notes.push(...unknown.map((key) => `${key}: not a field of this model`))
  return notes
}
