import { useEffect } from 'react'
import { Plus } from 'lucide-react'
import { Link, Route, Switch } from 'wouter'
import type { Endpoint } from '../../client/types.ts'
import { serviceNow } from '../clock.ts'
import { errorText } from '../error-text.ts'
import { whenFull, whenShort } from '../format.ts'
import { Problem } from '../problem.tsx'
import { useFollowAll } from '../runs.ts'
import { StatusIcon } from '../status-icon.tsx'
import { useMay } from '../who.ts'
import { EndpointPage, NewEndpointPage } from './endpoint-page.tsx'
import { endpointPath, hostOf, mailOf, stateOf } from './labels.ts'
import { Log } from './log.tsx'
import { NotificationPage } from './notification-page.tsx'
import { useEndpoints } from './use-endpoints.ts'

/** Everything below `/notifications`. */
export function Notifications() {
  const may = useMay('webhooks')
  useFollowAll()
  if (!may)
    return (
      <main className="page">
        <div className="page-head">
          <h1>Notifications</h1>
        </div>
        <p className="muted">This page needs the scope webhooks, which the key lacks.</p>
      </main>
    )
  return (
    <Switch>
      <Route path="/notifications/endpoints/new">
        <NewEndpointPage />
      </Route>
      <Route path="/notifications/endpoints/:id">{({ id }) => <EndpointPage key={id} id={id} />}</Route>
      <Route path="/notifications/:id">{({ id }) => <NotificationPage key={id} id={id} />}</Route>
      <Route>
        <Overview />
      </Route>
    </Switch>
  )
}

function Overview() {
  const { data: endpoints, error, refetch } = useEndpoints()
  useEffect(() => void (document.title = 'Notifications · genqueue'), [])
  return (
    <main className="page">
      <div className="page-head">
        <h1>Notifications</h1>
        <Link className="button primary" href="/notifications/endpoints/new">
          <Plus />
          New endpoint
        </Link>
      </div>
      <Problem text={error && errorText(error)} onRetry={endpoints ? undefined : () => void refetch()} />
      {endpoints?.length === 0 && (
        <section className="card" aria-label="Endpoints">
          <p className="muted">
            No endpoint yet. Events of this tenant are sent to its endpoints, signed, until they are accepted.
          </p>
        </section>
      )}
      {endpoints && endpoints.length > 0 && (
        <ul className="batch-list" aria-label="Endpoints">
          {endpoints.map((endpoint) => (
            <li key={endpoint.id}>
              <EndpointCard endpoint={endpoint} />
            </li>
          ))}
        </ul>
      )}
      <Log endpoints={endpoints ?? []} />
    </main>
  )
}

function EndpointCard({ endpoint }: { endpoint: Endpoint }) {
  const { id, url, description, events, presets, health, created_at } = endpoint
  const { label, shape, bad } = stateOf(endpoint)
  return (
    <article className="batch-card">
      <div className="batch-card-head">
        <Link href={endpointPath(id)} className="batch-link">
          <bdi>{description || hostOf(url)}</bdi>
        </Link>
        <time dateTime={created_at} title={whenFull(created_at)} className="muted">
          {whenShort(created_at, serviceNow())}
        </time>
      </div>
      <p className="endpoint-url muted">{mailOf(url) ?? url}</p>
      <p className="batch-card-foot">
        <span className={bad ? 'batch-status endpoint-bad' : 'batch-status'}>
          <StatusIcon shape={shape} size={14} />
          {label}
        </span>
        {health.failing_since !== null && (
          <span className="tabular">since {whenShort(health.failing_since, serviceNow())}</span>
        )}
        <span className="muted">
          {events.length === 1 ? events[0] : `${events.length} types of events`}
          {presets !== null && `, ${presets.join(', ')}`}
        </span>
      </p>
    </article>
  )
}
