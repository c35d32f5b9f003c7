import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect } from 'react'
import { RotateCw } from 'lucide-react'
import { Link } from 'wouter'
import type { DeliveryAttempt } from '../../client/types.ts'
import { batchPath, runPath } from '../address.ts'
import { BackBar } from '../back-bar.tsx'
import { serviceNow } from '../clock.ts'
import { CopyButton } from '../copy-button.tsx'
import { errorText } from '../error-text.ts'
import { duration, moment, whenFull } from '../format.ts'
import { Problem } from '../problem.tsx'
import { every } from '../queries.ts'
import { StatusIcon } from '../status-icon.tsx'
import { useStudio } from '../studio-context.ts'
import { answerOf, endpointPath, receiverOf, STATES } from './labels.ts'
import { useAction } from './use-action.ts'
import { useEndpoints } from './use-endpoints.ts'

const REFRESH_MS = 3_000

/** One notification: its attempts, what to do about them, and its body. */
export function NotificationPage({ id }: { id: string }) {
  const { client } = useStudio()
  const queries = useQueryClient()
  const { data: endpoints = [] } = useEndpoints()
  const { data, error, refetch } = useQuery({
    queryKey: ['notification', id],
    queryFn: () => client.notification(id),
    ...every(REFRESH_MS),
  })
  const again = useAction(async () => {
    await client.redeliver(id)
    await queries.invalidateQueries({ queryKey: ['notification', id] })
  })
  useEffect(() => void (document.title = `${data?.type ?? 'Notification'} · genqueue`), [data?.type])
  const text = data && JSON.stringify(data.body, null, 2)
  return (
    <main className="page">
      <BackBar to="/notifications" name="Notifications" />
      <Problem text={error && errorText(error)} onRetry={data ? undefined : () => void refetch()} />
      {data && (
        <>
          <div className="page-head">
            <h1>{data.type}</h1>
            <span className={data.state === 'failed' ? 'log-state endpoint-bad' : 'log-state'}>
              <StatusIcon shape={STATES[data.state].shape} size={14} />
              {STATES[data.state].label}
            </span>
            <button
              type="button"
              className="button"
              disabled={again.busy || data.state === 'pending'}
              onClick={again.run}
            >
              <RotateCw />
              {again.busy ? 'Sending…' : 'Send again'}
            </button>
          </div>
          <Problem text={again.problem} />
          <section className="card" aria-label="Facts">
            <dl className="note-facts">
              <dt>When</dt>
              <dd>
                <time dateTime={data.created_at}>{whenFull(data.created_at)}</time>
              </dd>
              <dt>Receiver</dt>
              <dd>
                {data.endpoint !== null && endpoints.some((one) => one.id === data.endpoint) ? (
                  <Link href={endpointPath(data.endpoint)}>{receiverOf(data, endpoints)}</Link>
                ) : (
                  (data.url ?? receiverOf(data, endpoints))
                )}
              </dd>
              {data.job !== null && (
                <>
                  <dt>Run</dt>
                  <dd>
                    <Link href={runPath(data.job)}>{data.job}</Link>
                  </dd>
                </>
              )}
              {data.batch !== null && (
                <>
                  <dt>Batch</dt>
                  <dd>
                    <Link href={batchPath(data.batch)}>{data.batch}</Link>
                  </dd>
                </>
              )}
              <dt>webhook-id</dt>
              <dd className="code">{data.id}</dd>
              {data.next_attempt_at !== null && (
                <>
                  <dt>Next attempt</dt>
                  <dd className="tabular">{moment(data.next_attempt_at, serviceNow())}</dd>
                </>
              )}
            </dl>
          </section>
          <section className="card" aria-labelledby="attempts-title">
            <h2 className="card-title" id="attempts-title">
              Attempts
            </h2>
            {data.attempts.length === 0 && <p className="muted">None yet.</p>}
            <ol className="attempts">
              {data.attempts.toReversed().map((attempt) => (
                <li key={attempt.at}>
                  <Attempt attempt={attempt} />
                </li>
              ))}
            </ol>
          </section>
          <section className="card" aria-labelledby="body-title">
            <div className="card-head">
              <h2 className="card-title" id="body-title">
                Body
              </h2>
              {text !== undefined && <CopyButton text={text} what="the body" />}
            </div>
            <pre className="note-body" tabIndex={0}>
              {text}
            </pre>
          </section>
        </>
      )}
    </main>
  )
}

/** One attempt: what the receiver answered, and what to do. */
export function Attempt({ attempt }: { attempt: DeliveryAttempt }) {
  const { at, duration: seconds, detail, advice } = attempt
  return (
    <>
      <p className="attempt-head tabular">
        <StatusIcon shape={advice === null ? 'done' : 'failed'} size={14} />
        <strong>{answerOf(attempt)}</strong>
        <span className="muted">{duration(seconds * 1000)}</span>
        <time dateTime={at} title={whenFull(at)} className="muted">
          {moment(at, serviceNow())}
        </time>
      </p>
      {advice !== null && <p>{advice}</p>}
      {detail !== '' && <pre className="attempt-detail">{detail}</pre>}
    </>
  )
}
