import { useEffect } from 'react'
import type { Credits } from '../../client/types.ts'
import { errorText } from '../error-text.ts'
import { Figure, Figures } from '../figures.tsx'
import { credits } from '../money.ts'
import { useFollowAll } from '../runs.ts'
import { useMay, useWho } from '../who.ts'
import { BudgetsCard } from './budgets.tsx'
import { Ledger } from './ledger.tsx'
import { SpendingCard } from './spending.tsx'
import { useCredits } from './use-credits.ts'
import { Problem } from '../problem.tsx'

const REFRESH_MS = 5_000

export function CreditsPage() {
  const may = useMay('credits:read')
  const who = useWho()
  useFollowAll()
  useEffect(() => void (document.title = 'Credits · genqueue'), [])
  return (
    <main className="page">
      <div className="page-head">
        <h1>Credits</h1>
        {who && (
          <span className="muted" dir="auto">
            {who.tenant.title}
          </span>
        )}
      </div>
      {may ? (
        <>
          <Account />
          <BudgetsCard />
          <SpendingCard />
          <Ledger />
        </>
      ) : (
        <p className="muted">This page needs the scope credits:read, which the key lacks.</p>
      )}
    </main>
  )
}

function Account() {
  const { data: account, error } = useCredits(REFRESH_MS)
  return (
    <section className="card" aria-label="Account">
      <Problem text={error && errorText(error)} />
      {account && <AccountFigures account={account} />}
      {!account && !error && <div className="card-loading" aria-hidden="true" />}
    </section>
  )
}

function AccountFigures({ account }: { account: Credits }) {
  const { granted, balance, held, captured, unlimited } = account
  return (
    <>
      <Figures>
        <Figure
          name="Balance"
          value={credits(balance)}
          note={unlimited ? 'no limit before the first grant' : 'available for new runs'}
          bad={!unlimited && balance <= 0}
        />
        <Figure name="Held" value={credits(held)} note="for unfinished runs" />
        <Figure name="Charged" value={credits(captured)} note="for finished runs" />
        {!unlimited && <Figure name="Granted" value={credits(granted)} note="in total" />}
      </Figures>
      {!unlimited && granted > 0 && <AccountBar account={account} />}
      {unlimited && (
        <p className="card-note">
          Runs need no balance but are counted. The first grant limits the tenant to its balance.
        </p>
      )}
    </>
  )
}

/** granted = balance + held + captured, as one bar. */
function AccountBar({ account: { balance, held, captured } }: { account: Credits }) {
  const parts = [
    { name: 'charged', amount: captured },
    { name: 'held', amount: held },
    { name: 'balance', amount: Math.max(0, balance) },
  ].filter(({ amount }) => amount > 0)
  const label = parts.map(({ name, amount }) => `${name} ${credits(amount)}`).join(', ')
  return (
    <div className="account-bar" role="img" aria-label={label} title={label}>
      {parts.map(({ name, amount }) => (
        <span key={name} className={`account-part account-part-${name}`} style={{ flexGrow: amount }} />
      ))}
    </div>
  )
}
