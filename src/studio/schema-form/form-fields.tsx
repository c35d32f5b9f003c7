import { useState } from 'react'
import type { Json, JsonObject } from '../../client/types.ts'
import type { FieldErrors } from './check-input.ts'
import { FieldInput } from './field-input.tsx'
import type { Field } from './fields.ts'

interface Props {
  fields: readonly Field[]
  draft: JsonObject
  /** `undefined` unsets the field. */
  onChange: (name: string, value: Json | undefined) => void
  errors: FieldErrors
  /** Placeholder of the first field. */
  placeholder?: string | undefined
  autoFocus?: boolean
}

/** The fields of a form: important ones at once, the rest folded. */
export function FormFields({ fields, draft, onChange, errors, placeholder, autoFocus = false }: Props) {
  const [unfolded, setUnfolded] = useState(false)
  const important = fields.filter((field) => field.important)
  const others = fields.filter((field) => !field.important)
  const setAmongOthers = others.filter((field) => draft[field.name] !== undefined).length

  const input = (field: Field, at: number) => (
    <FieldInput
      key={field.name}
      field={field}
      value={draft[field.name]}
      onChange={(value) => onChange(field.name, value)}
      error={errors[field.name] ?? null}
      placeholder={at === 0 && field.important ? placeholder : undefined}
      autoFocus={at === 0 && field.important && autoFocus}
    />
  )

  return (
    <>
      {important.map(input)}
      {others.length > 0 && (
        <details
          className="more"
          open={unfolded || others.some((field) => errors[field.name])}
          onToggle={(event) => setUnfolded(event.currentTarget.open)}
        >
          <summary>
            More options
            <span className="more-count">{setAmongOthers > 0 ? `${setAmongOthers} set` : others.length}</span>
          </summary>
          <div className="more-fields">{others.map(input)}</div>
        </details>
      )}
    </>
  )
}
