import { useState } from 'react'
import type { Json } from '../../client/types.ts'
import { plain } from '../format.ts'
import type { ControlProps } from './control-props.ts'
import type { Field } from './fields.ts'
import { FileInput, FileListInput } from './file-input.tsx'

interface Props {
  field: Field
  /** Undefined: not set, so the model's default applies. */
  value: Json | undefined
  onChange: (value: Json | undefined) => void
  error: string | null
  placeholder?: string | undefined
  autoFocus?: boolean
}

/** One field of a form, with its label, its description and its error. */
export function FieldInput(props: Props) {
  const { field, error } = props
  const id = `field-${field.name}`
  const noteId = `${id}-note`
  const grouped = field.kind === 'ratio' || field.kind === 'segments'
  const note = error ?? field.description
  const described = note ? noteId : undefined
  const label = (
    <>
      {field.title}
      {!field.required && field.kind === 'file' && <span className="field-optional"> optional</span>}
    </>
  )
  return (
    <div className={`field field-${field.kind}${error ? ' has-error' : ''}`}>
      {grouped ? (
        <fieldset aria-describedby={described}>
          <legend>{label}</legend>
          <Choices {...props} id={id} />
        </fieldset>
      ) : (
        <>
          <label htmlFor={id}>{label}</label>
          <Control {...props} id={id} describedBy={described} />
        </>
      )}
      {note && (
        <p id={noteId} className={error ? 'field-error' : 'field-note'}>
          {note}
        </p>
      )}
    </div>
  )
}

function Choices({ field, value, onChange, id }: Props & { id: string }) {
  const chosen = value ?? field.default
  return (
    <div className={field.kind === 'ratio' ? 'ratios' : 'segments'}>
      {field.choices.map((choice) => (
        <label key={choice} className="choice">
          <input
            type="radio"
            name={id}
            checked={chosen === choice}
            onChange={() => onChange(choice === field.default ? undefined : choice)}
          />
          {field.kind === 'ratio' && <RatioShape ratio={String(choice)} />}
          <span>{choice}</span>
        </label>
      ))}
    </div>
  )
}

/** The aspect ratio as a small frame. All frames have the same area, so none is emphasised. */
function RatioShape({ ratio }: { ratio: string }) {
  const [across = 1, down = 1] = ratio.split(':').map(Number)
  const width = Math.min(26, Math.sqrt((200 * across) / down))
  const height = Math.min(26, Math.sqrt((200 * down) / across))
  return (
    <svg width="28" height="28" viewBox="0 0 28 28" aria-hidden="true" focusable="false">
      <rect x={14 - width / 2} y={14 - height / 2} width={width} height={height} rx="2" />
    </svg>
  )
}

function Control({
  field,
  value,
  onChange,
  error,
  placeholder,
  autoFocus = false,
  id,
  describedBy,
}: Props & { id: string; describedBy: string | undefined }) {
  const shared = { id, 'aria-invalid': error !== null, 'aria-describedby': describedBy, autoFocus }
  const hint = placeholder ?? (field.default === undefined ? undefined : plain(field.default))
  const text = typeof value === 'string' ? value : ''
  switch (field.kind) {
    case 'long-text':
      return <GrowingText {...shared} text={text} placeholder={hint} onText={(next) => onChange(next || undefined)} />
    case 'text':
      return (
        <input
          {...shared}
          type="text"
          value={text}
          placeholder={hint}
          onChange={(event) => onChange(event.target.value || undefined)}
        />
      )
    case 'file':
      return <FileInput {...shared} title={field.title} value={value} onChange={onChange} />
    case 'switch':
      return (
        <input
          {...shared}
          type="checkbox"
          role="switch"
          className="switch"
          checked={(value ?? field.default) === true}
          onChange={(event) =>
            onChange(event.target.checked === (field.default ?? false) ? undefined : event.target.checked)
          }
        />
      )
    case 'select':
      return (
        <select
          {...shared}
          value={plain(value ?? field.default ?? '')}
          onChange={(event) => {
            const choice = field.choices.find((each) => String(each) === event.target.value)
            onChange(choice === field.default ? undefined : choice)
          }}
        >
          {field.default === undefined && <option value="">{field.required ? 'Choose…' : 'Model default'}</option>}
          {field.choices.map((choice) => (
            <option key={choice} value={String(choice)}>
              {choice}
            </option>
          ))}
        </select>
      )
    case 'slider':
      return <Slider {...shared} field={field} value={value} onChange={onChange} />
    case 'number':
      return <NumberInput {...shared} field={field} value={value} onChange={onChange} />
    case 'file-list':
      return <FileListInput {...shared} title={field.title} value={value} onChange={onChange} />
    case 'json':
    case 'ratio':
    case 'segments':
      break
  }
  return <JsonText {...shared} value={value} onChange={onChange} hint={hint} />
}

function GrowingText({
  text,
  onText,
  ...rest
}: ControlProps & { text: string; onText: (text: string) => void; placeholder: string | undefined }) {
  return <textarea {...rest} rows={3} value={text} onChange={(event) => onText(event.target.value)} />
}

function Slider({ field, value, onChange, ...rest }: ControlProps & Pick<Props, 'field' | 'value' | 'onChange'>) {
  const fallback = typeof field.default === 'number' ? field.default : (field.minimum ?? 0)
  const current = typeof value === 'number' ? value : fallback
  const set = (next: number) => onChange(next === field.default ? undefined : next)
  return (
    <div className="slider">
      <input
        {...rest}
        type="range"
        min={field.minimum ?? undefined}
        max={field.maximum ?? undefined}
        step={field.step}
        value={current}
        onChange={(event) => set(event.target.valueAsNumber)}
      />
      <NumberInput
        id={`${rest.id}-number`}
        aria-invalid={rest['aria-invalid']}
        aria-describedby={rest['aria-describedby']}
        aria-label={`${field.title}, as a number`}
        autoFocus={false}
        field={field}
        value={value}
        onChange={onChange}
      />
    </div>
  )
}

/** Keeps the typed text until blur, so "1." and "-" are possible on the way to a number. */
function NumberInput({
  field,
  value,
  onChange,
  ...rest
}: ControlProps & Pick<Props, 'field' | 'value' | 'onChange'> & { 'aria-label'?: string }) {
  const outer = typeof value === 'number' ? String(value) : ''
  const [typed, setTyped] = useState<string | null>(null)
  return (
    <input
      {...rest}
      inputMode={field.integer ? 'numeric' : 'decimal'}
      value={typed ?? outer}
      placeholder={field.default === undefined ? (field.name === 'seed' ? 'random' : '') : plain(field.default)}
      onChange={(event) => {
        setTyped(event.target.value)
        const next = event.target.value.trim()
        if (next === '') onChange(undefined)
        else if (Number.isFinite(Number(next))) onChange(Number(next))
      }}
      onBlur={() => setTyped(null)}
    />
  )
}

function JsonText({
  value,
  onChange,
  hint,
  ...rest
}: ControlProps & Pick<Props, 'value' | 'onChange'> & { hint: string | undefined }) {
  const [text, setText] = useState(value === undefined ? '' : JSON.stringify(value))
  const [broken, setBroken] = useState(false)
  return (
    <textarea
      {...rest}
      aria-invalid={broken || rest['aria-invalid']}
      className="code"
      rows={2}
      value={text}
      placeholder={hint ?? 'JSON'}
      spellCheck={false}
      onChange={(event) => {
        setText(event.target.value)
        if (event.target.value.trim() === '') {
          setBroken(false)
          onChange(undefined)
          return
        }
        try {
          const parsed: Json = JSON.parse(event.target.value)
          onChange(parsed)
          setBroken(false)
        } catch {
          setBroken(true)
        }
      }}
    />
  )
}
