import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState, type FormEvent } from 'react'
import type { LimitChange, ManualPause, ScopeLimits } from '../../client/types.ts'
import { errorText } from '../error-text.ts'
import { whenToTheMinute } from '../format.ts'
import { Problem } from '../problem.tsx'
import { every } from '../queries.ts'
import { useStudio } from '../studio-context.ts'

const REFRESH_MS = 5_000
const QUERY = ['limits']

const LABELS = {
  concurrency: 'Runs in flight',
  per_tenant: 'Runs in flight of each tenant',
  weight: 'Weight of a tenant',
  creates_per_minute: 'Creates a minute',
} as const
type Name = keyof typeof LABELS
const isName = (name: string): name is Name => Object.hasOwn(LABELS, name)

/** Limits and pauses, which operators change while the service runs. */
export function Limits() {
  const { client } = useStudio()
  const { data, error } = useQuery({
    queryKey: QUERY,
    queryFn: async () => {
      const [limits, pauses] = await Promise.all([client.limits(), client.pauses()])
      return { limits, pauses }
    },
    ...every(REFRESH_MS),
  })
  return (
    <>
      <section className="card" aria-labelledby="limits">
        <h2 className="card-title" id="limits">
          Limits
        </h2>
        <Problem text={error && errorText(error)} />
        {data && <LimitTable limits={data.limits} />}
        <LimitForm />
      </section>
      <section className="card" aria-labelledby="pauses">
        <h2 className="card-title" id="pauses">
          Pauses by hand
        </h2>
        {data &&
          (data.pauses.length === 0 ? <p className="muted">Nothing is paused.</p> : <Pauses all={data.pauses} />)}
        <PauseForm />
      </section>
    </>
  )
}

function LimitTable({ limits }: { limits: readonly ScopeLimits[] }) {
  const shown = (row: ScopeLimits, name: Name): string => {
    const value = row[name]
    return value === null ? (row.set.includes(name) ? 'unlimited' : '–') : value.toLocaleString()
  }
  return (
    <div className="table-place">
      <table className="table">
        <thead>
          <tr>
            <th scope="col">Scope</th>
            <th scope="col" className="number">
              In flight
            </th>
            <th scope="col" className="number">
              At most
            </th>
            <th scope="col" className="number wide-only">
              Of each tenant
            </th>
            <th scope="col" className="number wide-only">
              Weight
            </th>
            <th scope="col" className="number">
              Creates a minute
            </th>
          </tr>
        </thead>
        <tbody>
          {limits.map((row) => (
            <tr key={row.scope}>
              <th scope="row" className="limit-scope">
                {row.scope}
              </th>
              <td className="number">{row.in_flight.toLocaleString()}</td>
              <td className="number">{shown(row, 'concurrency')}</td>
              <td className="number wide-only">{shown(row, 'per_tenant')}</td>
              <td className="number wide-only">{shown(row, 'weight')}</td>
              <td className="number">{shown(row, 'creates_per_minute')}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

/** A form whose submission changes limits or pauses: whether it is being sent, and why it failed. */
function useChange() {
  const queries = useQueryClient()
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<string | null>(null)
  const change = async (work: () => Promise<unknown>): Promise<boolean> => {
    setBusy(true)
    setProblem(null)
    try {
      await work()
      await queries.invalidateQueries({ queryKey: QUERY })
      return true
    } catch (error) {
      setProblem(errorText(error))
      return false
    } finally {
      setBusy(false)
    }
  }
  return { busy, problem, change }
}

/** Empty: what an operator set is removed. */
function changeOf(scope: string, name: Name, text: string): LimitChange {
  if (text === '') return { scope, [name]: null }
  if (text === 'unlimited') return { scope, [name]: text }
  return { scope, [name]: Number(text.replace(',', '.')) }
}

function LimitForm() {
  const { client } = useStudio()
  const { busy, problem, change } = useChange()
  const [scope, setScope] = useState('')
  const [name, setName] = useState<Name>('concurrency')
  const [value, setValue] = useState('')

  async function send(event: FormEvent): Promise<void> {
    event.preventDefault()
    if (await change(() => client.setLimits(changeOf(scope.trim(), name, value.trim())))) setValue('')
  }

  return (
    <form className="limit-form" onSubmit={(event) => void send(event)}>
      <Field
        id="limit-scope"
        label="Scope"
        value={scope}
        onChange={setScope}
        note="account:, model:, deployment:, preset: or tenant:, and a name"
      />
      <div className="field">
        <label htmlFor="limit-name">Limit</label>
        <select
          id="limit-name"
          value={name}
          onChange={({ target }) => setName(isName(target.value) ? target.value : 'concurrency')}
        >
          {Object.entries(LABELS).map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
      </div>
      <Field
        id="limit-value"
        label="Value"
        value={value}
        onChange={setValue}
        note="A number, or unlimited. Empty: as configured."
      />
      <button type="submit" className="button" disabled={busy || scope.trim() === ''}>
        {busy ? 'Setting…' : 'Set limit'}
      </button>
      <Problem text={problem} />
    </form>
  )
}

function Pauses({ all }: { all: readonly ManualPause[] }) {
  const { client } = useStudio()
  const { busy, problem, change } = useChange()
  return (
    <>
      <ul className="pauses">
        {all.map(({ scope, reason, since, by }) => (
          <li key={scope}>
            <div>
              <strong>{scope}</strong> {reason}
              <p className="muted">
                Since {whenToTheMinute(since)}, by {by}
              </p>
            </div>
            <button
              type="button"
              className="button small"
              disabled={busy}
              aria-label={`Resume ${scope}`}
              onClick={() => void change(() => client.resumeCreation(scope))}
            >
              Resume
            </button>
          </li>
        ))}
      </ul>
      <Problem text={problem} />
    </>
  )
}

function PauseForm() {
  const { client } = useStudio()
  const { busy, problem, change } = useChange()
  const [scope, setScope] = useState('')
  const [reason, setReason] = useState('')

  async function send(event: FormEvent): Promise<void> {
    event.preventDefault()
    if (!(await change(() => client.pauseCreation({ scope: scope.trim(), reason })))) return
    setScope('')
    setReason('')
  }

  return (
    <form className="limit-form pause-form" onSubmit={(event) => void send(event)}>
      <Field id="pause-scope" label="Scope" value={scope} onChange={setScope} note="all, or as for a limit" />
      <Field
        id="pause-reason"
        label="Reason"
        value={reason}
        onChange={setReason}
        note="Owners of waiting runs see it."
      />
      <button type="submit" className="button" disabled={busy || scope.trim() === '' || reason.trim() === ''}>
        {busy ? 'Pausing…' : 'Pause creation'}
      </button>
      <Problem text={problem} />
    </form>
  )
}

interface FieldProps {
  id: string
  label: string
  value: string
  onChange: (value: string) => void
  note: string
}

function Field({ id, label, value, onChange, note }: FieldProps) {
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        value={value}
        autoComplete="off"
        autoCapitalize="none"
        spellCheck={false}
        aria-describedby={`${id}-note`}
        onChange={({ target }) => onChange(target.value)}
      />
      <p id={`${id}-note`} className="field-note">
        {note}
      </p>
    </div>
  )
}
