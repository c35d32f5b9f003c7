import { useQuery } from '@tanstack/react-query'
import type { Budget } from '../../client/types.ts'
import { errorText } from '../error-text.ts'
import { credits } from '../money.ts'
import { Problem } from '../problem.tsx'
import { every } from '../queries.ts'
import { useStudio } from '../studio-context.ts'

const AGAIN_EVERY_MS = 10_000
const UNTIL = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric', hour: 'numeric', minute: '2-digit' })
const EACH = { day: 'each day', week: 'each week', month: 'each month' } as const
/** Users that are shown of a budget that counts each of them for itself. */
const MOST_USERS = 5

/** What the jobs of the tenant may cost in a day, week or month; nothing where it has no budget. */
export function BudgetsCard() {
  const { client } = useStudio()
  const { data: budgets, error } = useQuery({
    queryKey: ['credits', 'budgets'],
    queryFn: ({ signal }) => client.budgets({ signal }),
    ...every(AGAIN_EVERY_MS),
  })
  if (!error && (budgets ?? []).length === 0) return null
  return (
    <section className="card" aria-labelledby="budgets-title">
      <h2 className="card-title" id="budgets-title">
        Budgets
      </h2>
      <Problem text={error && errorText(error)} />
      <div className="table-place">
        <table className="table">
          <thead>
            <tr>
              <th scope="col">Budget</th>
              <th scope="col" className="number">
                Used
              </th>
              <th scope="col" className="number">
                Limit
              </th>
            </tr>
          </thead>
          <tbody>{budgets?.map((budget) => rowsOf(budget))}</tbody>
        </table>
      </div>
    </section>
  )
}

function subjectOf({ scope, key_id, preset, user }: Budget): string {
  switch (scope) {
    case 'tenant':
      return 'All runs'
    case 'key':
      return `Key ${key_id}`
    case 'preset':
      return `Preset ${preset}`
    case 'user':
      return user === null ? 'Each user' : `User ${user}`
  }
}

/** One row, or one for each user who has used most. */
function rowsOf(budget: Budget) {
  const { id, title, users, used } = budget
  const name = title === '' ? subjectOf(budget) : title
  if (users === null) return <Row key={id} budget={budget} name={name} used={used ?? 0} />
  if (users.length === 0) return <Row key={id} budget={budget} name={name} used={0} />
  return users
    .slice(0, MOST_USERS)
    .map((one) => <Row key={`${id} ${one.user}`} budget={budget} name={`${name}: ${one.user}`} used={one.used} />)
}

function Row({ budget, name, used }: { budget: Budget; name: string; used: number }) {
  const { limit, hard, period, resets_at, title } = budget
  const isFull = used >= limit
  const about = [title === '' ? null : subjectOf(budget), EACH[period], hard ? null : 'only counts']
  return (
    <tr>
      <th scope="row">
        <span dir="auto">{name}</span>
        <span className="budget-about muted">
          {about.filter((part) => part !== null).join(' · ')} · resets{' '}
          <time dateTime={resets_at}>{UNTIL.format(Date.parse(resets_at))}</time>
        </span>
        <span className="budget-bar" aria-hidden="true">
          <span className={isFull ? 'budget-full' : ''} style={{ width: `${Math.min(1, used / limit) * 100}%` }} />
        </span>
      </th>
      <td className="number">{credits(used)}</td>
      <td className="number">{credits(limit)}</td>
    </tr>
  )
}
