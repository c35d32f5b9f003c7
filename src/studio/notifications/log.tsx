import { useInfiniteQuery } from '@tanstack/react-query'
import { Link } from 'wouter'
import type { Endpoint, Notification, NotificationState } from '../../client/types.ts'
import { amend, useAddress } from '../address.ts'
import { serviceNow } from '../clock.ts'
import { errorText } from '../error-text.ts'
import { moment, whenFull } from '../format.ts'
import { OlderButton } from '../older-button.tsx'
import { Problem } from '../problem.tsx'
import { pagesOf } from '../queries.ts'
import { StatusIcon } from '../status-icon.tsx'
import { useStudio } from '../studio-context.ts'
import { answerOf, hostOf, isState, notificationPath, receiverOf, STATES } from './labels.ts'

const REFRESH_MS = 5_000

interface Filter {
  state: NotificationState | null
  endpoint: string | null
}

/** What was sent and will be sent, newest first. `of`: only those for this endpoint. */
export function Log({ endpoints, of }: { endpoints: readonly Endpoint[]; of?: string }) {
  const { delivery, endpoint } = useAddress()
  const state = isState(delivery) ? delivery : null
  return (
    <section className="card" aria-labelledby="log-title">
      <div className="card-head">
        <h2 className="card-title" id="log-title">
          Log
        </h2>
        <span className="log-filters">
          {of === undefined && endpoints.length > 0 && (
            <select
              className="preset-filter"
              aria-label="Receiver"
              value={endpoint ?? ''}
              onChange={(event) => amend({ endpoint: event.target.value })}
            >
              <option value="">All receivers</option>
              {endpoints.map(({ id, description, url }) => (
                <option key={id} value={id}>
                  {description || hostOf(url)}
                </option>
              ))}
            </select>
          )}
          <select
            className="preset-filter"
            aria-label="State"
            value={state ?? ''}
            onChange={(event) => amend({ state: event.target.value })}
          >
            <option value="">All states</option>
            {Object.entries(STATES).map(([name, { label }]) => (
              <option key={name} value={name}>
                {label}
              </option>
            ))}
          </select>
        </span>
      </div>
      <Entries filter={{ state, endpoint: of ?? endpoint }} endpoints={endpoints} />
    </section>
  )
}

function Entries({ filter, endpoints }: { filter: Filter; endpoints: readonly Endpoint[] }) {
  const { client } = useStudio()
  const { state, endpoint } = filter
  const pages = useInfiniteQuery({
    ...pagesOf(
      ['notifications', state, endpoint],
      (page) =>
        client.notifications({
          ...page,
          ...(state === null ? {} : { state }),
          ...(endpoint === null ? {} : { endpoint }),
        }),
      25,
    ),
    // Rereading takes one request a page.
    refetchInterval: ({ state: { data: read } }) => REFRESH_MS * (read?.pages.length ?? 1),
  })
  const { data, error, refetch } = pages
  return (
    <>
      <Problem text={error && errorText(error)} onRetry={data ? undefined : () => void refetch()} />
      {data?.length === 0 && (
        <p className="muted">{state === null ? 'Nothing was sent yet.' : 'None in this state.'}</p>
      )}
      {data && data.length > 0 && (
        <div className="table-place">
          <table className="table log">
            <thead>
              <tr>
                <th scope="col">When</th>
                <th scope="col">State</th>
                <th scope="col">Event</th>
                <th scope="col">Receiver</th>
                <th scope="col" className="number wide-only">
                  Attempts
                </th>
                <th scope="col" className="wide-only">
                  Last answer
                </th>
              </tr>
            </thead>
            <tbody>
              {data.map((notification) => (
                <Entry key={notification.id} notification={notification} endpoints={endpoints} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      <OlderButton of={pages} text="Older notifications" />
    </>
  )
}

function Entry({ notification, endpoints }: { notification: Notification; endpoints: readonly Endpoint[] }) {
  const { id, type, state, created_at, attempts } = notification
  const { label, shape } = STATES[state]
  const last = attempts.at(-1)
  return (
    <tr>
      <td>
        <time dateTime={created_at} title={whenFull(created_at)}>
          {moment(created_at, serviceNow())}
        </time>
      </td>
      <td className={state === 'failed' ? 'log-state endpoint-bad' : 'log-state'}>
        <StatusIcon shape={shape} size={14} />
        {label}
      </td>
      <td>
        <Link href={notificationPath(id)}>{type}</Link>
      </td>
      <td>
        <bdi>{receiverOf(notification, endpoints)}</bdi>
      </td>
      <td className="number wide-only">{attempts.length}</td>
      <td className="wide-only">{last ? answerOf(last) : '–'}</td>
    </tr>
  )
}
