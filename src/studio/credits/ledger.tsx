import { useInfiniteQuery } from '@tanstack/react-query'
import { Link } from 'wouter'
import type { LedgerEntry, LedgerKind } from '../../client/types.ts'
import { amend, batchPath, runPath, useAddress } from '../address.ts'
import { serviceNow } from '../clock.ts'
import { errorText } from '../error-text.ts'
import { clockTime, whenFull, whenShort } from '../format.ts'
import { credits } from '../money.ts'
import { pagesOf } from '../queries.ts'
import { useStudio } from '../studio-context.ts'
import { OlderButton } from '../older-button.tsx'
import { Problem } from '../problem.tsx'

const KINDS: Record<LedgerKind, string> = {
  opening: 'Opening',
  grant: 'Granted',
  adjustment: 'Adjusted',
  hold: 'Held',
  capture: 'Charged',
  release: 'Released',
}

const isKind = (text: string): text is LedgerKind => Object.hasOwn(KINDS, text)

/** Every entry, newest first, with the account after it. */
export function Ledger() {
  const { kind } = useAddress()
  const chosen = kind !== null && isKind(kind) ? kind : null
  return (
    <section className="card" aria-labelledby="ledger-title">
      <div className="card-head">
        <h2 className="card-title" id="ledger-title">
          Ledger
        </h2>
        <select
          className="preset-filter"
          aria-label="Kind of entry"
          value={chosen ?? ''}
          onChange={(event) => amend({ kind: event.target.value })}
        >
          <option value="">All entries</option>
          {Object.entries(KINDS).map(([name, label]) => (
            <option key={name} value={name}>
              {label}
            </option>
          ))}
        </select>
      </div>
      <Entries kind={chosen} />
    </section>
  )
}

function Entries({ kind }: { kind: LedgerKind | null }) {
  const { client } = useStudio()
  const pages = useInfiniteQuery(
    pagesOf(['credits', 'ledger', kind], (page) => client.ledger({ ...page, ...(kind ? { kind } : {}) }), 25),
  )
  const { data, error, refetch } = pages
  return (
    <>
      <Problem text={error && errorText(error)} onRetry={data ? undefined : () => void refetch()} />
      {data?.length === 0 && <p className="muted">No entries yet.</p>}
      {data && data.length > 0 && (
        <div className="table-place">
          <table className="table ledger">
            <thead>
              <tr>
                <th scope="col">When</th>
                <th scope="col">What</th>
                <th scope="col" className="number">
                  Credits
                </th>
                <th scope="col" className="number wide-only">
                  Held after
                </th>
                <th scope="col" className="number">
                  Balance after
                </th>
                <th scope="col" className="table-for">
                  For
                </th>
              </tr>
            </thead>
            <tbody>
              {data.map((entry) => (
                <Entry key={entry.id} entry={entry} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      <OlderButton of={pages} text="Older entries" />
    </>
  )
}

function Entry({ entry }: { entry: LedgerEntry }) {
  const { kind, amount, held, balance, job, batch, reason, uncollected, created_at } = entry
  const now = serviceNow()
  const today = new Date(now).toDateString() === new Date(created_at).toDateString()
  return (
    <tr>
      <td>
        <time dateTime={created_at} title={whenFull(created_at)}>
          {today ? clockTime(created_at) : whenShort(created_at, now)}
        </time>
      </td>
      <td>{KINDS[kind] ?? kind}</td>
      <td className="number">
        {credits(amount)}
        {uncollected > 0 && <span className="figure-note">{credits(uncollected)} uncollected</span>}
      </td>
      <td className="number wide-only">{credits(held)}</td>
      <td className="number">{credits(balance)}</td>
      <td className="table-for">
        {reason !== null && <bdi>{reason}</bdi>}
        {job !== null && (
          <Link href={runPath(job)} title={job}>
            run …{job.slice(-6)}
          </Link>
        )}
        {batch !== null && (
          <>
            {' '}
            <Link href={batchPath(batch)} title={batch}>
              batch …{batch.slice(-6)}
            </Link>
          </>
        )}
      </td>
    </tr>
  )
}
