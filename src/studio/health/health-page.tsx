import { useQuery } from '@tanstack/react-query'
import { useEffect, type ReactNode } from 'react'
import type { Readiness } from '../../client/client.ts'
import type { Allowance, Health, WaitingFor } from '../../client/types.ts'
import { serviceNow, useSeconds } from '../clock.ts'
import { errorText } from '../error-text.ts'
import { Figure, Figures } from '../figures.tsx'
import { counted, duration, humanize, percent } from '../format.ts'
import { every } from '../queries.ts'
import { useReadiness } from '../readiness.ts'
import { phaseLabels, untilLabel } from '../run-labels.ts'
import { useFollowAll } from '../runs.ts'
import { StatusIcon } from '../status-icon.tsx'
import { useStudio } from '../studio-context.ts'
import { useMay } from '../who.ts'
import { findingsOf, PAUSES, SOURCES, WAIT_NAMES, rateNote, webhookStatus } from './health-labels.ts'
import { Doctor } from './doctor.tsx'
import { Limits } from './limits.tsx'
import { readCheck } from './read-check.ts'
import { Problem } from '../problem.tsx'

const REFRESH_MS = 3_000

export function HealthPage() {
  const may = useMay('admin')
  useFollowAll()
  useEffect(() => void (document.title = 'Health · genqueue'), [])
  return (
    <main className="page">
      <div className="page-head">
        <h1>Health</h1>
        <span className="muted">of the whole deployment, all tenants</span>
      </div>
      {may ? <Report /> : <p className="muted">This page needs the scope admin, which the key lacks.</p>}
    </main>
  )
}

function Report() {
  const { client } = useStudio()
  // Read apart: each part of the page needs only one of the two.
  const { data: health, error: healthError } = useQuery({
    queryKey: ['health'],
    queryFn: () => client.health(),
    ...every(REFRESH_MS),
  })
  const { data: readiness, error: readinessError } = useReadiness(REFRESH_MS)
  const error = healthError ?? readinessError
  return (
    <>
      <Problem text={error && errorText(error)} />
      {!health && !readiness && !error && <div className="card card-loading" aria-hidden="true" />}
      {health && readiness && <Verdict health={health} readiness={readiness} />}
      <Doctor />
      <div className="health">
        {health && (
          <>
            <Completions health={health} />
            <Webhooks health={health} />
            <Budget health={health} />
            <Waiting health={health} />
            <Trouble health={health} />
          </>
        )}
        {readiness && <Checks readiness={readiness} />}
      </div>
      <Limits />
    </>
  )
}

/** Healthy or not, and what to do. */
function Verdict({ health, readiness }: { health: Health; readiness: Readiness }) {
  const findings = findingsOf(health, readiness)
  const healthy = findings.length === 0
  return (
    <section className={healthy ? 'card verdict' : 'card verdict verdict-bad'} aria-label="Verdict">
      <StatusIcon shape={healthy ? 'done' : 'failed'} size={20} />
      <div>
        <h2>
          {healthy ? 'Everything is healthy' : findings.length === 1 ? 'One problem' : `${findings.length} problems`}
        </h2>
        {healthy ? (
          <p className="muted">{webhookStatus(health)} No unusual waits, no outputs at risk.</p>
        ) : (
          <ul className="findings">
            {findings.map(({ what, todo }) => (
              <li key={what}>
                <strong>{what}</strong> {todo}
              </li>
            ))}
          </ul>
        )}
      </div>
    </section>
  )
}

function Card({ id, title, children }: { id: string; title: string; children: ReactNode }) {
  return (
    <section className="card" aria-labelledby={id}>
      <h2 className="card-title" id={id}>
        {title}
      </h2>
      {children}
    </section>
  )
}

/** Shares of the sources that detected completions. */
function Completions({ health }: { health: Health }) {
  const parts = Object.entries(health.finished_by)
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a)
  const all = parts.reduce((sum, [, count]) => sum + count, 0)
  return (
    <Card id="completions" title="How completions were detected">
      {all === 0 ? (
        <p className="muted">No run has finished yet.</p>
      ) : (
        <>
          <div
            className="share-bar"
            role="img"
            aria-label={parts.map(([name, count]) => `${SOURCES[name] ?? name} ${percent(count / all)}`).join(', ')}
          >
            {parts.map(([name, count]) => (
              <span key={name} className={`source source-${name}`} style={{ flexGrow: count }} />
            ))}
          </div>
          <ul className="legend">
            {parts.map(([name, count]) => (
              <li key={name}>
                <span className={`source source-${name}`} />
                <span>{SOURCES[name] ?? name}</span>
                <span className="tabular">{percent(count / all)}</span>
                <span className="tabular muted">{count.toLocaleString()}</span>
              </li>
            ))}
          </ul>
        </>
      )}
    </Card>
  )
}

function Webhooks({ health }: { health: Health }) {
  const { webhooks } = health
  const { latency } = webhooks
  return (
    <Card id="webhooks" title="Webhooks">
      <Figures>
        <Figure
          name="Latency"
          value={latency ? duration(latency.p50 * 1000) : '–'}
          note={
            latency
              ? latency.count === 1
                ? 'the only one so far'
                : `median of the last ${latency.count}`
              : 'none received by this process yet'
          }
        />
        {latency && (
          <>
            <Figure name="90th percentile" value={duration(latency.p90 * 1000)} />
            <Figure name="Longest" value={duration(latency.max * 1000)} />
          </>
        )}
      </Figures>
      <p className="card-note">
        {webhooks.silent
          ? 'No webhooks arrive: completions are detected by polling.'
          : webhooks.latency === null
            ? webhookStatus(health)
            : 'From completion at Replicate to our record.'}
      </p>
    </Card>
  )
}

function Budget({ health: { budget, pause, predictions_open, accounts } }: { health: Health }) {
  return (
    <Card id="budget" title="Budget">
      <Meter name="Creates" allowance={budget.creates} />
      <Meter name="Reads" allowance={budget.reads} />
      <p className="card-note">
        {pause ? <PauseNote pause={pause} /> : `${counted(predictions_open, 'prediction')} in flight.`}
        {budget.creates.quiet_since !== null && ` ${rateNote(budget.creates)}`}
      </p>
      {accounts.length > 1 && <Accounts accounts={accounts} />}
    </Card>
  )
}

/** The accounts of which the budgets are the sum. */
function Accounts({ accounts }: { accounts: Health['accounts'] }) {
  return (
    <ul aria-label="Accounts">
      {accounts.map((one) => (
        <li key={one.name}>
          <Meter name={one.name} allowance={one.budget.creates} />
          <p className="card-note">
            {one.pause ? <PauseNote pause={one.pause} /> : `${counted(one.predictions_open, 'prediction')} in flight.`}
          </p>
        </li>
      ))}
    </ul>
  )
}

function PauseNote({ pause }: { pause: NonNullable<Health['pause']> }) {
  useSeconds(pause.until !== null)
  const left = pause.until === null ? null : Date.parse(pause.until) - serviceNow()
  return (
    <>
      Creation is paused: {PAUSES[pause.reason]}.{' '}
      {left === null ? 'Being checked now.' : untilLabel(pause.reason, left)}
    </>
  )
}

/** Remaining capacity of a budget. */
function Meter({ name, allowance: { per_minute, burst, free } }: { name: string; allowance: Allowance }) {
  return (
    <div className="meter">
      <span>{name}</span>
      <span className="muted tabular">{per_minute.toLocaleString()} a minute</span>
      <meter min={0} max={burst} value={free} aria-label={`${name} available now: ${free} of ${burst}`} />
      <span className="tabular meter-free">
        {free.toLocaleString()} of {burst.toLocaleString()} free
      </span>
    </div>
  )
}

function Waiting({ health: { jobs, waiting } }: { health: Health }) {
  const phases = (
    ['queued', 'submitting', 'unknown', 'created', 'running', 'resubmitting', 'storing', 'stopping'] as const
  )
    .map((phase) => ({ phase, count: jobs[phase] ?? 0 }))
    .filter(({ count }) => count > 0)
  return (
    <Card id="waiting" title="Unfinished runs">
      {phases.length === 0 && <p className="muted">No unfinished runs.</p>}
      <ul className="legend">
        {phases.map(({ phase, count }) => (
          <li key={phase}>
            <StatusIcon shape={phaseLabels({ phase, status: 'queued' }).shape} />
            <span>{phaseLabels({ phase, status: 'queued' }).label}</span>
            <span className="tabular">{count.toLocaleString()}</span>
          </li>
        ))}
      </ul>
      {waiting.reasons.length > 0 && (
        <>
          <h3 className="card-sub">
            Waiting for{waiting.looked_at < (jobs.queued ?? 0) ? `, in a sample of ${waiting.looked_at}` : ''}
          </h3>
          <ul className="legend">
            {waiting.reasons.map(({ reason, jobs: count }) => (
              <li key={reason}>
                <StatusIcon shape="waiting" />
                <span>{waitName(reason)}</span>
                <span className="tabular">{count.toLocaleString()}</span>
              </li>
            ))}
          </ul>
        </>
      )}
    </Card>
  )
}

const waitName = (reason: WaitingFor['reason']): string => WAIT_NAMES[reason] ?? reason

function Trouble({ health }: { health: Health }) {
  const rows = [
    {
      name: 'Outputs at risk',
      count: health.artifacts_at_risk,
      note: 'not copied, removed by Replicate within 15 minutes',
    },
    { name: 'Unknown outcomes', count: health.outcomes_unknown, note: 'create requests that may have arrived' },
    {
      name: 'Overdue',
      count: health.due.overdue,
      note: `of ${counted(health.due.waiting + health.due.overdue, 'scheduled item')}`,
    },
    { name: 'Invalid webhooks', count: health.webhooks.dead_letters, note: 'kept for inspection' },
    { name: 'Orphan predictions', count: health.orphan_predictions, note: 'since installation; the goal is 0' },
  ]
  return (
    <Card id="trouble" title="Watch">
      <ul className="watch">
        {rows.map(({ name, count, note }) => (
          <li key={name} className={count > 0 ? 'watch-some' : undefined}>
            <span>
              {name}
              <span className="figure-note">{note}</span>
            </span>
            <strong className="tabular">{count.toLocaleString()}</strong>
          </li>
        ))}
      </ul>
    </Card>
  )
}

function Checks({ readiness: { checks, version } }: { readiness: Readiness }) {
  return (
    <Card id="checks" title="Components">
      <ul className="watch">
        {Object.entries(checks).map(([name, check]) => {
          const { ok, detail } = readCheck(check)
          return (
            <li key={name} className={ok ? undefined : 'watch-some'}>
              <span>
                {humanize(name)}
                <span className="figure-note">{detail}</span>
              </span>
              <StatusIcon shape={ok ? 'done' : 'failed'} />
              <span className="off-screen">{ok ? 'working' : 'failing'}</span>
            </li>
          )
        })}
      </ul>
      <p className="card-note">
        Version {version ?? 'unknown'} · <a href="/metrics">All metrics (Prometheus)</a>
      </p>
    </Card>
  )
}
