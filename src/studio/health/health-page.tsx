import { useCallback, useEffect, type ReactNode } from 'react'
import type { Readiness } from '../../client/client.ts'
import type { Allowance, Health, WaitingFor } from '../../client/types.ts'
import { serviceNow, useSeconds } from '../clock.ts'
import { Figure, Figures } from '../figures.tsx'
import { duration, runningFor, humanize } from '../format.ts'
import { StatusIcon } from '../icons.tsx'
import { wordsFor } from '../run-words.ts'
import { useFollowAll } from '../runs.ts'
import { useStudio } from '../studio-context.ts'
import { useLoaded } from '../use-loaded.ts'
import { useMay } from '../who.ts'
import { findingsOf, PAUSES, SOURCES, WAIT_NAMES, webhookWords } from './health-words.ts'
import { readCheck } from './read-check.ts'
import { Problem } from '../problem.tsx'

const AGAIN_EVERY_MS = 3_000

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
      {may ? <Report /> : <p className="muted">This page is for operators: the key lacks the scope admin.</p>}
    </main>
  )
}

function Report() {
  const { client } = useStudio()
  const read = useCallback(() => Promise.all([client.health(), client.readiness()]), [client])
  const { value, problem } = useLoaded(read, { every: AGAIN_EVERY_MS })
  return (
    <>
      <Problem text={problem} />
      {!value && !problem && <div className="card card-loading" aria-hidden="true" />}
      {value && (
        <>
          <Verdict health={value[0]} readiness={value[1]} />
          <div className="health">
            <Ends health={value[0]} />
            <Webhooks health={value[0]} />
            <Budget health={value[0]} />
            <Waiting health={value[0]} />
            <Trouble health={value[0]} />
            <Checks readiness={value[1]} />
          </div>
        </>
      )}
    </>
  )
}

/** In one glance: is it well, and if not, what is to be done. */
function Verdict({ health, readiness }: { health: Health; readiness: Readiness }) {
  const findings = findingsOf(health, readiness)
  const well = findings.length === 0
  return (
    <section className={well ? 'card verdict' : 'card verdict verdict-bad'} aria-label="Verdict">
      <StatusIcon shape={well ? 'done' : 'failed'} size={20} />
      <div>
        <h2>
          {well
            ? 'All is well'
            : findings.length === 1
              ? 'One thing to look at'
              : `${findings.length} things to look at`}
        </h2>
        {well ? (
          <p className="muted">{webhookWords(health)} Nothing waits longer than it must, no output is in danger.</p>
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

/** Who brought the final news. */
function Ends({ health }: { health: Health }) {
  const parts = Object.entries(health.finished_by)
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a)
  const all = parts.reduce((sum, [, count]) => sum + count, 0)
  return (
    <Card id="ends" title="How ends became known">
      {all === 0 ? (
        <p className="muted">No run has ended yet.</p>
      ) : (
        <>
          <div
            className="share-bar"
            role="img"
            aria-label={parts.map(([name, count]) => `${SOURCES[name] ?? name} ${share(count, all)}`).join(', ')}
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
                <span className="tabular">{share(count, all)}</span>
                <span className="tabular muted">{count.toLocaleString()}</span>
              </li>
            ))}
          </ul>
        </>
      )}
    </Card>
  )
}

const share = (count: number, all: number): string =>
  `${((count / all) * 100).toLocaleString(undefined, { maximumFractionDigits: 1 })} %`

function Webhooks({ health }: { health: Health }) {
  const { webhooks } = health
  const { latency } = webhooks
  return (
    <Card id="webhooks" title="Webhooks">
      <Figures>
        <Figure
          name="Latency"
          value={latency ? duration(latency.p50 * 1000) : '–'}
          note={latency ? `half of the last ${latency.count}` : 'none taken by this process yet'}
        />
        {latency && (
          <>
            <Figure name="Nine of ten" value={duration(latency.p90 * 1000)} note="at most" />
            <Figure name="Longest" value={duration(latency.max * 1000)} />
          </>
        )}
      </Figures>
      <p className="card-note">
        {webhooks.silent
          ? 'They do not arrive: completions are found by polling.'
          : webhooks.latency === null
            ? webhookWords(health)
            : 'From the completion of a prediction to our record.'}
      </p>
    </Card>
  )
}

function Budget({ health: { budget, pause, predictions_open } }: { health: Health }) {
  return (
    <Card id="budget" title="Budget">
      <Meter name="Creates" allowance={budget.creates} />
      <Meter name="Reads" allowance={budget.reads} />
      <p className="card-note">
        {pause ? <PauseWords pause={pause} /> : `${predictions_open.toLocaleString()} predictions in flight.`}
      </p>
    </Card>
  )
}

function PauseWords({ pause }: { pause: NonNullable<Health['pause']> }) {
  useSeconds(pause.until !== null)
  const left = pause.until === null ? null : Date.parse(pause.until) - serviceNow()
  return (
    <>
      Nothing is created: {PAUSES[pause.reason]}
      {left !== null && left > 0 ? `, for ${runningFor(left)}` : ''}.
    </>
  )
}

/** How much of what may be sent at once is left. */
function Meter({ name, allowance: { per_minute, burst, free } }: { name: string; allowance: Allowance }) {
  return (
    <div className="meter">
      <span>{name}</span>
      <span className="muted tabular">{per_minute.toLocaleString()} a minute</span>
      <meter min={0} max={burst} value={free} aria-label={`${name} that could be sent at once: ${free} of ${burst}`} />
      <span className="tabular meter-free">
        {free} of {burst} free
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
    <Card id="waiting" title="Runs that are not over">
      {phases.length === 0 && <p className="muted">None: everything is done.</p>}
      <ul className="legend">
        {phases.map(({ phase, count }) => (
          <li key={phase}>
            <StatusIcon shape={wordsFor({ phase, status: 'queued' }).shape} />
            <span>{wordsFor({ phase, status: 'queued' }).word}</span>
            <span className="tabular">{count.toLocaleString()}</span>
          </li>
        ))}
      </ul>
      {waiting.reasons.length > 0 && (
        <>
          <h3 className="card-sub">
            Why they wait{waiting.looked_at < (jobs.queued ?? 0) ? `, of ${waiting.looked_at} looked at` : ''}
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
      name: 'Outputs in danger',
      count: health.artifacts_at_risk,
      note: 'not copied, and gone at Replicate within 15 minutes',
    },
    { name: 'Outcomes unknown', count: health.outcomes_unknown, note: 'creates that may or may not have arrived' },
    {
      name: 'Overdue',
      count: health.due.overdue,
      note: `of ${health.due.waiting + health.due.overdue} things that are due`,
    },
    { name: 'Webhooks not understood', count: health.webhooks.dead_letters, note: 'kept for a look' },
    { name: 'Predictions nobody wanted', count: health.orphan_predictions, note: 'since the beginning; the goal is 0' },
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
    <Card id="checks" title="Parts">
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
        Version {version ?? 'unknown'} · <a href="/metrics">All figures, for Prometheus</a>
      </p>
    </Card>
  )
}
