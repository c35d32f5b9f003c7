import { useQuery } from '@tanstack/react-query'
import type { DoctorCheck } from '../../client/types.ts'
import { errorText } from '../error-text.ts'
import { clockTime, counted } from '../format.ts'
import { Problem } from '../problem.tsx'
import { StatusIcon } from '../status-icon.tsx'
import { useStudio } from '../studio-context.ts'

const WORDS: Record<DoctorCheck['state'], string> = {
  failed: 'Failed',
  warning: 'Warning',
  ok: 'OK',
  skipped: 'Skipped',
}
const SHAPES = { failed: 'failed', warning: 'question', ok: 'done', skipped: 'canceled' } as const

/** Checks the set-up at the press of a button: what is wrong first, and what to do. */
export function Doctor() {
  const { client } = useStudio()
  const { data, error, isFetching, refetch } = useQuery({
    queryKey: ['doctor'],
    queryFn: () => client.doctor(),
    enabled: false,
  })
  const of = (...states: DoctorCheck['state'][]): DoctorCheck[] =>
    states.flatMap((state) => data?.checks.filter((check) => check.state === state) ?? [])
  const wrong = of('failed', 'warning')
  const rest = of('ok', 'skipped')
  return (
    <section className="card doctor" aria-labelledby="doctor">
      <div className="card-head">
        <h2 className="card-title" id="doctor">
          Doctor
        </h2>
        <button type="button" className="button small" disabled={isFetching} onClick={() => void refetch()}>
          {isFetching ? 'Checking…' : data ? 'Check again' : 'Check the set-up'}
        </button>
      </div>
      <p className="card-note" role="status">
        {isFetching
          ? 'A worker sends signed probes through PUBLIC_URL. This takes some seconds.'
          : data
            ? `${wrong.length === 0 ? 'No problem found' : counted(wrong.length, 'problem')}, checked at ${clockTime(data.at)}.`
            : 'Checks Redis, the account, presets, storage, and whether webhooks arrive from outside. Changes no run.'}
      </p>
      <Problem text={error && errorText(error)} />
      {wrong.length > 0 && <Checks checks={wrong} />}
      {rest.length > 0 && (
        <details>
          <summary>{counted(rest.length, 'other check')}</summary>
          <Checks checks={rest} />
        </details>
      )}
    </section>
  )
}

function Checks({ checks }: { checks: readonly DoctorCheck[] }) {
  return (
    <ul className="doctor-checks">
      {checks.map(({ name, title, state, seen, todo }) => (
        <li key={name}>
          <StatusIcon shape={SHAPES[state]} />
          <p>
            <strong>{title}</strong> <span className="doctor-seen">{WORDS[state]}</span>
          </p>
          <p className="doctor-seen">{seen}</p>
          {todo !== null && <p className="doctor-todo">{todo}</p>}
        </li>
      ))}
    </ul>
  )
}
