import { useQuery } from '@tanstack/react-query'
import type { Spending, SpendingSum } from '../../client/types.ts'
import { errorText } from '../error-text.ts'
import { counted } from '../format.ts'
import { credits } from '../money.ts'
import { every } from '../queries.ts'
import { useStudio } from '../studio-context.ts'
import { Problem } from '../problem.tsx'

const DAY_MS = 86_400_000
const DAY = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric', timeZone: 'UTC' })
const CSV = [
  ['preset', 'preset'],
  ['model', 'model'],
  ['user', 'user'],
  ['key', 'key'],
] as const
const AGAIN_EVERY_MS = 30_000

/** Credits charged in the last thirty days. */
export function SpendingCard() {
  const { client } = useStudio()
  const { data: value, error } = useQuery({
    queryKey: ['credits', 'spending'],
    queryFn: () => Promise.all([client.spending({ by: 'day' }), client.spending({ by: 'preset' })]),
    ...every(AGAIN_EVERY_MS),
  })
  return (
    <section className="card" aria-labelledby="spending-title">
      <h2 className="card-title" id="spending-title">
        The last 30 days
      </h2>
      <Problem text={error && errorText(error)} />
      {!value && !error && <div className="card-loading" aria-hidden="true" />}
      {value && value[0].total.jobs === 0 && <p className="muted">No run was charged in the last 30 days.</p>}
      {value && value[0].total.jobs > 0 && (
        <div className="spending">
          <Days spending={value[0]} />
          <Presets spending={value[1]} />
        </div>
      )}
      {value && value[0].total.jobs > 0 && (
        <p className="card-note">
          As CSV by{' '}
          {CSV.map(([by, name], at) => (
            <span key={by}>
              {at > 0 && ', '}
              <a href={`/v1/credits/spending.csv?by=${by}`} download>
                {name}
              </a>
            </span>
          ))}
        </p>
      )}
    </section>
  )
}

/** UTC days, including those without spending. */
function Days({ spending }: { spending: Spending }) {
  const charged = new Map(spending.data.flatMap((row) => ('day' in row ? [[row.day, row] as const] : [])))
  const days: string[] = []
  for (let at = Date.parse(spending.from); at <= Date.parse(spending.to); at += DAY_MS)
    days.push(new Date(at).toISOString().slice(0, 10))
  const highest = Math.max(1, ...[...charged.values()].map(({ captured }) => captured))
  const { total } = spending
  return (
    <figure className="days">
      <div
        className="days-bars"
        role="img"
        aria-label={`${credits(total.captured)} credits in ${counted(total.jobs, 'run')} on ${counted(charged.size, 'day')}`}
      >
        {days.map((day) => {
          const sum = charged.get(day)
          const label = `${DAY.format(Date.parse(day))}: ${sum ? `${credits(sum.captured)} credits, ${counted(sum.jobs, 'run')}` : 'nothing'}`
          return (
            <span key={day} className="day" title={label}>
              <span className="day-bar" style={{ height: `${((sum?.captured ?? 0) / highest) * 100}%` }} />
            </span>
          )
        })}
      </div>
      <figcaption className="muted tabular">
        <span>{DAY.format(Date.parse(spending.from))}</span>
        <span>highest {credits(highest)}</span>
        <span>{DAY.format(Date.parse(spending.to))}</span>
      </figcaption>
    </figure>
  )
}

function Presets({ spending }: { spending: Spending }) {
  const rows = spending.data
    .flatMap((row) => ('preset' in row ? [row] : []))
    .sort((a, b) => b.captured - a.captured || a.preset.localeCompare(b.preset))
  return (
    <div className="table-place">
      <table className="table">
        <thead>
          <tr>
            <th scope="col">Preset or model</th>
            <th scope="col" className="number">
              Runs
            </th>
            <th scope="col" className="number">
              Credits
            </th>
            <th scope="col" className="number wide-only">
              Per run
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.preset}>
              <th scope="row">{row.preset}</th>
              <Sums sum={row} />
            </tr>
          ))}
        </tbody>
        <tfoot>
          <tr>
            <th scope="row">All</th>
            <Sums sum={spending.total} />
          </tr>
        </tfoot>
      </table>
      {spending.total.uncollected > 0 && (
        <p className="card-note">
          {credits(spending.total.uncollected)} credits more were used than the account had, and not collected.
        </p>
      )}
    </div>
  )
}

function Sums({ sum }: { sum: SpendingSum }) {
  return (
    <>
      <td className="number">{sum.jobs.toLocaleString()}</td>
      <td className="number">{credits(sum.captured)}</td>
      <td className="number wide-only">{credits(Math.round(sum.captured / Math.max(1, sum.jobs)))}</td>
    </>
  )
}
