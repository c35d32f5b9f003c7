import { useEffect, useState } from 'react'
import type { BatchRequest, Json } from '../../client/types.ts'
import { batchPath, go } from '../address.ts'
import { BackBar } from '../back-bar.tsx'
import { ChosenRecipe, useRecipe } from '../composer.tsx'
import { useDraft } from '../drafts.ts'
import { PriceLine } from '../price-line.tsx'
import { isFileField, type Recipe } from '../recipe.ts'
import { RefusalNote } from '../refusal-note.tsx'
import { useFollowAll } from '../runs.ts'
import { checkInput, type FieldErrors } from '../schema-form/check-input.ts'
import { FieldInput } from '../schema-form/field-input.tsx'
import type { Field } from '../schema-form/fields.ts'
import { FormFields } from '../schema-form/form-fields.tsx'
import { useStudio } from '../studio-context.ts'
import { useSend, type Refusal } from '../submit.ts'

const MOST = 1_000

export function NewBatch() {
  const chosen = useRecipe()
  useFollowAll()
  useEffect(() => void (document.title = 'New batch · genqueue'), [])
  return (
    <main className="page page-narrow">
      <BackBar to="/batches" name="Batches" />
      <h1 className="page-title">New batch</h1>
      <ChosenRecipe chosen={chosen} />
      {chosen.recipe && <BatchForm key={chosen.recipe.key} recipe={chosen.recipe} />}
    </main>
  )
}

/** The field that differs between the runs of a batch: the prompt, else the first required text or file. */
function varyingField(fields: readonly Field[]): Field | null {
  const needed = fields.filter((field) => field.required)
  return (
    fields.find(({ name }) => name === 'prompt') ??
    needed.find(({ kind }) => kind === 'long-text' || kind === 'text') ??
    needed.find(isFileField) ??
    fields[0] ??
    null
  )
}

/** One value for each run, from the text or the uploaded files. */
function valuesOf(field: Field, value: Json | undefined): Json[] {
  const lines = Array.isArray(value) ? value : typeof value === 'string' ? value.split('\n') : []
  return lines.flatMap((line) => {
    const text = typeof line === 'string' ? line.trim() : line
    if (text === '') return []
    return [field.kind === 'file-list' ? [text] : text]
  })
}

/** The field as one list for all runs. */
const asList = (field: Field): Field => ({
  ...field,
  kind: isFileField(field) ? 'file-list' : 'long-text',
  title: isFileField(field) ? `${field.title}, one for each run` : `${field.title}s, one on each line`,
  default: undefined,
  required: true,
})

function BatchForm({ recipe }: { recipe: Recipe }) {
  const { client } = useStudio()
  const { send, sending, refusal, clear } = useSend()
  const { draft, set, replace } = useDraft(`batch ${recipe.key}`)
  const [errors, setErrors] = useState<FieldErrors>({})
  const [rules, setRules] = useState<Rules>({ title: '', sequential: false, failureRate: '', maxSpend: '' })

  const varying = varyingField(recipe.fields)
  if (!varying) return <p className="muted">No form: the schema is unknown.</p>
  const others = recipe.fields.filter(({ name }) => name !== varying.name)
  const { [varying.name]: list, ...shared } = draft
  const values = valuesOf(varying, list)
  const inputs = values.map((value) => ({ ...shared, [varying.name]: value }))

  function change(name: string, value: Json | undefined): void {
    set(name, value)
    setErrors({})
    clear()
  }

  function check(): FieldErrors {
    if (values.length === 0) return { [varying?.name ?? '']: 'Required' }
    if (values.length > MOST) return { [varying?.name ?? '']: `At most ${MOST.toLocaleString()} runs` }
    return { ...checkInput(others, shared), ...checkRules(rules) }
  }

  async function submit(): Promise<void> {
    const found = check()
    setErrors(found)
    if (Object.keys(found).length > 0) {
      requestAnimationFrame(() => document.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus())
      return
    }
    const { webhook_events, ...target } = recipe.target
    const request: BatchRequest = {
      defaults: { ...target, input: shared, ...(webhook_events ? { webhook_events } : {}) },
      items: values.map((value) => ({ input: { [varying?.name ?? '']: value } })),
      ...requestOf(rules),
    }
    const batch = await send(JSON.stringify(request), (idempotencyKey) => client.batch(request, { idempotencyKey }))
    if (!batch) return
    replace({})
    go(batchPath(batch.id))
  }

  return (
    <form
      className="batch-form"
      noValidate
      onKeyDown={(event) => {
        if (event.key !== 'Enter' || !(event.metaKey || event.ctrlKey)) return
        event.preventDefault()
        void submit()
      }}
      onSubmit={(event) => {
        event.preventDefault()
        void submit()
      }}
    >
      <FieldInput
        field={asList(varying)}
        value={list}
        onChange={(value) => change(varying.name, value)}
        error={errors[varying.name] ?? null}
        placeholder={'A fox under stars\nThe fox counts owls\nThe fox meets a whale'}
      />
      <FormFields fields={others} draft={shared} onChange={change} errors={errors} />
      <BatchRules rules={rules} onChange={setRules} errors={errors} />
      <div className="batch-foot">
        {refusal && <RefusalNote refusal={refusal} errors={readable(refusal, values)} />}
        <PriceLine recipe={recipe} inputs={inputs} />
        <button type="submit" className="button primary wide" disabled={sending}>
          {sending ? 'Sending…' : values.length > 1 ? `Run ${values.length}` : 'Run'}
        </button>
      </div>
    </form>
  )
}

/** Turns `/items/2/input/prompt` into "Number 3". */
function readable({ errors }: Refusal, values: readonly Json[]): Refusal['errors'] {
  return errors.slice(0, 20).map(({ pointer, detail }) => {
    const [, at, rest = ''] = /^\/items\/(\d+)(.*)$/.exec(pointer) ?? []
    if (at === undefined) return { pointer, detail }
    const value = values[Number(at)]
    const label = typeof value === 'string' ? ` (${value.slice(0, 40)})` : ''
    return { pointer: `Number ${Number(at) + 1}${label}${rest}`, detail }
  })
}

interface Rules {
  title: string
  sequential: boolean
  /** percent */
  failureRate: string
  /** credits */
  maxSpend: string
}

function checkRules({ failureRate, maxSpend }: Rules): FieldErrors {
  const errors: FieldErrors = {}
  if (failureRate && !(Number(failureRate) > 0 && Number(failureRate) <= 100)) errors['failureRate'] = '1 to 100'
  if (maxSpend && !(Number(maxSpend) > 0)) errors['maxSpend'] = 'Must be a number above 0'
  return errors
}

function requestOf({ title, sequential, failureRate, maxSpend }: Rules): Partial<BatchRequest> {
  return {
    ...(title.trim() ? { metadata: { title: title.trim() } } : {}),
    ...(sequential ? { sequential } : {}),
    ...(failureRate ? { stop_on_failure_rate: Number(failureRate) / 100 } : {}),
    ...(maxSpend ? { max_spend: Math.round(Number(maxSpend) * 1_000_000) } : {}),
  }
}

function BatchRules({
  rules,
  onChange,
  errors,
}: {
  rules: Rules
  onChange: (rules: Rules) => void
  errors: FieldErrors
}) {
  const text = (name: 'title' | 'failureRate' | 'maxSpend', label: string, note: string, numeric: boolean) => (
    <div className={errors[name] ? 'field has-error' : 'field'}>
      <label htmlFor={`batch-${name}`}>{label}</label>
      <input
        id={`batch-${name}`}
        value={rules[name]}
        inputMode={numeric ? 'decimal' : 'text'}
        aria-invalid={errors[name] !== undefined}
        aria-describedby={`batch-${name}-note`}
        onChange={(event) => onChange({ ...rules, [name]: event.target.value })}
      />
      <p id={`batch-${name}-note`} className={errors[name] ? 'field-error' : 'field-note'}>
        {errors[name] ?? note}
      </p>
    </div>
  )
  return (
    <details
      className="more"
      open={errors['failureRate'] !== undefined || errors['maxSpend'] !== undefined || undefined}
    >
      <summary>Name and limits</summary>
      <div className="more-fields">
        {text('title', 'Name', 'Shown in the batch list.', false)}
        <div className="field field-switch">
          <label htmlFor="batch-sequential">Run one at a time</label>
          <input
            id="batch-sequential"
            type="checkbox"
            role="switch"
            className="switch"
            checked={rules.sequential}
            onChange={(event) => onChange({ ...rules, sequential: event.target.checked })}
          />
        </div>
        {text(
          'failureRate',
          'Stop above this failure rate (%)',
          'Checked after the first 5 runs have finished. Leave empty for no limit.',
          true,
        )}
        {text(
          'maxSpend',
          'Spending limit (credits)',
          'No run starts that could exceed it. Leave empty for no limit.',
          true,
        )}
      </div>
    </details>
  )
}
