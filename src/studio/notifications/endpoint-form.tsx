import { useState } from 'react'
import { isApiError } from '../../client/client.ts'
import type { Endpoint, NotificationType } from '../../client/types.ts'
import { useCatalogue } from '../catalogue.ts'
import { errorText } from '../error-text.ts'
import { Problem } from '../problem.tsx'
import { mailOf, TYPES, typesFor } from './labels.ts'

interface Wanted {
  url: string
  description: string
  events: NotificationType[]
  presets: string[] | null
  payload: Endpoint['payload']
}

const UNUSUAL: readonly NotificationType[] = ['job.started', 'job.progress']
const FIRST: Wanted = {
  url: '',
  description: '',
  events: typesFor('').filter((type) => !UNUSUAL.includes(type)),
  presets: null,
  payload: 'thin',
}

interface Props {
  /** Absent: a new one. */
  endpoint?: Endpoint
  submit: string
  save: (wanted: Wanted) => Promise<void>
}

/** The settings of an endpoint. */
export function EndpointForm({ endpoint, submit, save }: Props) {
  const [edited, setEdited] = useState<Partial<Wanted>>({})
  const [state, setState] = useState<'idle' | 'saving' | 'saved'>('idle')
  const [errors, setErrors] = useState<{ pointer: string; detail: string }[]>([])
  const wanted: Wanted = { ...(endpoint ?? FIRST), ...edited }
  const types = typesFor(wanted.url)
  const mail = mailOf(wanted.url)
  const set = (change: Partial<Wanted>): void => {
    setEdited({ ...edited, ...change })
    setState('idle')
    setErrors([])
  }
  const chosen = (events: readonly string[]) => types.filter((type) => events.includes(type))
  const errorOf = (name: string): string | null =>
    errors.find(({ pointer }) => pointer === `/${name}` || pointer.startsWith(`/${name}/`))?.detail ?? null

  async function send(): Promise<void> {
    setState('saving')
    setErrors([])
    try {
      const { url, description, presets, payload } = wanted
      await save({ url, description, events: chosen(wanted.events), presets, payload })
      setState('saved')
    } catch (error) {
      setState('idle')
      setErrors(
        isApiError(error) && error.errors.length > 0 ? error.errors : [{ pointer: '', detail: errorText(error) }],
      )
    }
  }

  return (
    <form
      className="batch-form"
      noValidate
      onSubmit={(event) => {
        event.preventDefault()
        void send()
      }}
    >
      {/* An address of mail is never changed: it was asked. */}
      {endpoint?.kind !== 'email' && (
        <TextField name="url" label="URL" value={wanted.url} error={errorOf('url')} onChange={(url) => set({ url })}>
          {urlNote(mail, endpoint === undefined)}
        </TextField>
      )}
      <TextField
        name="description"
        label="Description"
        value={wanted.description}
        error={errorOf('description')}
        onChange={(description) => set({ description })}
      >
        Shown in lists.
      </TextField>
      <Checks
        legend="Events"
        error={errorOf('events')}
        options={types.map((type) => ({ value: type, label: type, note: TYPES[type] }))}
        chosen={wanted.events}
        onChange={(events) => set({ events: chosen(events) })}
      />
      <Presets chosen={wanted.presets} error={errorOf('presets')} onChange={(presets) => set({ presets })} />
      {mail === null && (
        <div className="field field-switch">
          <label htmlFor="endpoint-full">Send the whole run, not only its id and status</label>
          <input
            id="endpoint-full"
            type="checkbox"
            role="switch"
            className="switch"
            checked={wanted.payload === 'full'}
            onChange={(event) => set({ payload: event.target.checked ? 'full' : 'thin' })}
          />
        </div>
      )}
      <Problem text={errorOf('') ?? errors.find(({ pointer }) => pointer === '')?.detail} />
      <div className="buttons">
        <button
          type="submit"
          className="button primary"
          disabled={state === 'saving' || (endpoint !== undefined && Object.keys(edited).length === 0)}
        >
          {state === 'saving' ? 'Saving…' : submit}
        </button>
        {state === 'saved' && (
          <span className="muted form-saved" role="status">
            Saved
          </span>
        )}
      </div>
    </form>
  )
}

function urlNote(mail: string | null, isNew: boolean): string {
  if (mail?.startsWith('{')) return 'The metadata of each run or batch names the address.'
  if (mail !== null) return 'The address gets a mail with a link first, and nothing else before it is confirmed.'
  const webhook = 'It receives a POST with JSON, and answers with 2xx.'
  return isNew ? `${webhook} Where the service can send mail, also mailto:you@example.com.` : webhook
}

interface TextFieldProps {
  name: string
  label: string
  value: string
  error: string | null
  onChange: (value: string) => void
  children: string
}

function TextField({ name, label, value, error, onChange, children }: TextFieldProps) {
  const id = `endpoint-${name}`
  return (
    <div className={error === null ? 'field' : 'field has-error'}>
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        value={value}
        spellCheck={false}
        aria-invalid={error !== null}
        aria-describedby={`${id}-note`}
        onChange={(event) => onChange(event.target.value)}
      />
      <p id={`${id}-note`} className={error === null ? 'field-note' : 'field-error'}>
        {error ?? children}
      </p>
    </div>
  )
}

interface ChecksProps {
  legend: string
  error: string | null
  options: { value: string; label: string; note?: string }[]
  chosen: readonly string[]
  onChange: (chosen: string[]) => void
}

function Checks({ legend, error, options, chosen, onChange }: ChecksProps) {
  return (
    <fieldset className="field">
      <legend>{legend}</legend>
      <div className="checks">
        {options.map(({ value, label, note }) => (
          <label key={value} className="check">
            <input
              type="checkbox"
              checked={chosen.includes(value)}
              onChange={({ target }) =>
                onChange(target.checked ? [...chosen, value] : chosen.filter((one) => one !== value))
              }
            />
            <span>
              {label}
              {note !== undefined && <span className="field-note"> {note}</span>}
            </span>
          </label>
        ))}
      </div>
      {error !== null && <p className="field-error">{error}</p>}
    </fieldset>
  )
}

interface PresetsProps {
  chosen: string[] | null
  error: string | null
  onChange: (presets: string[] | null) => void
}

function Presets({ chosen, error, onChange }: PresetsProps) {
  const known = useCatalogue().presets.items
  if (known.length === 0 && chosen === null) return null
  const names = [...new Set([...known.map(({ name }) => name), ...(chosen ?? [])])]
  return (
    <>
      <div className="field field-switch">
        <label htmlFor="endpoint-some">Only runs of some presets</label>
        <input
          id="endpoint-some"
          type="checkbox"
          role="switch"
          className="switch"
          checked={chosen !== null}
          onChange={(event) => onChange(event.target.checked ? names.slice(0, 1) : null)}
        />
      </div>
      {chosen !== null && (
        <Checks
          legend="Presets"
          error={error}
          options={names.map((name) => ({ value: name, label: name }))}
          chosen={chosen}
          onChange={onChange}
        />
      )}
    </>
  )
}
