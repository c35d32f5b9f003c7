import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { RotateCw, Trash2 } from 'lucide-react'
import type { Endpoint, EndpointTest, NewEndpoint } from '../../client/types.ts'
import { go } from '../address.ts'
import { BackBar } from '../back-bar.tsx'
import { serviceNow } from '../clock.ts'
import { ConfirmButton } from '../confirm-button.tsx'
import { CopyButton } from '../copy-button.tsx'
import { errorText } from '../error-text.ts'
import { Figure, Figures } from '../figures.tsx'
import { moment } from '../format.ts'
import { Problem } from '../problem.tsx'
import { every } from '../queries.ts'
import { StatusIcon } from '../status-icon.tsx'
import { useStudio } from '../studio-context.ts'
import { EndpointForm } from './endpoint-form.tsx'
import { endpointPath, hostOf, isTestable, isUnconfirmed, mailOf, stateOf } from './labels.ts'
import { Log } from './log.tsx'
import { Attempt } from './notification-page.tsx'
import { useAction } from './use-action.ts'

const REFRESH_MS = 5_000

/** The secret of an endpoint that was created or rotated a moment ago, in this tab only. */
const shownOnce = new Map<string, string>()

export function NewEndpointPage() {
  const { client } = useStudio()
  useEffect(() => void (document.title = 'New endpoint · genqueue'), [])
  return (
    <main className="page page-narrow">
      <BackBar to="/notifications" name="Notifications" />
      <h1 className="page-title">New endpoint</h1>
      <EndpointForm
        submit="Create endpoint"
        save={async (request) => {
          const made = await client.createEndpoint(request)
          if (made.secret !== null) shownOnce.set(made.id, made.secret.key)
          go(endpointPath(made.id), { replace: true })
        }}
      />
    </main>
  )
}

export function EndpointPage({ id }: { id: string }) {
  const { client } = useStudio()
  const queries = useQueryClient()
  const [secret, setSecret] = useState(() => shownOnce.get(id) ?? null)
  const { data, error, refetch } = useQuery({
    queryKey: ['endpoint', id],
    queryFn: () => client.endpoint(id),
    ...every(REFRESH_MS),
  })
  // Shown until this page is left.
  useEffect(() => void shownOnce.delete(id), [id])
  const name = data && (data.description || hostOf(data.url))
  useEffect(() => void (document.title = `${name ?? 'Endpoint'} · genqueue`), [name])
  const changed = (): Promise<void> => queries.invalidateQueries({ queryKey: ['endpoint', id] })
  const rotate = async (): Promise<void> => {
    const made: NewEndpoint = await client.rotateEndpoint(id)
    setSecret(made.secret?.key ?? null)
    await changed()
  }
  return (
    <main className="page">
      <BackBar to="/notifications" name="Notifications" />
      <Problem text={error && errorText(error)} onRetry={data ? undefined : () => void refetch()} />
      {data && (
        <>
          <div className="page-head">
            <h1>
              <bdi>{name}</bdi>
            </h1>
            <State endpoint={data} />
          </div>
          {secret !== null && <Secret secret={secret} />}
          <section className="card" aria-label="Endpoint">
            <p className="endpoint-url">{mailOf(data.url) ?? data.url}</p>
            {isUnconfirmed(data) && (
              <p className="endpoint-asked">
                The address is asked by a mail with a link, and gets nothing else before it confirms.
              </p>
            )}
            <Health endpoint={data} />
            <Actions endpoint={data} rotate={rotate} changed={changed} />
          </section>
          <section className="card" aria-labelledby="settings-title">
            <h2 className="card-title" id="settings-title">
              Settings
            </h2>
            <EndpointForm
              endpoint={data}
              submit="Save"
              save={async (request) => {
                await client.changeEndpoint(id, request)
                await changed()
              }}
            />
          </section>
          <Log endpoints={[data]} of={id} />
        </>
      )}
    </main>
  )
}

function State({ endpoint }: { endpoint: Endpoint }) {
  const { label, shape, bad } = stateOf(endpoint)
  return (
    <span className={bad ? 'log-state endpoint-bad' : 'log-state'}>
      <StatusIcon shape={shape} size={14} />
      {label}
    </span>
  )
}

function Secret({ secret }: { secret: string }) {
  return (
    <section className="card secret" aria-labelledby="secret-title">
      <h2 className="card-title" id="secret-title">
        Secret
      </h2>
      <p>Receivers verify the signature with it. Copy it now: it is not shown again.</p>
      <p className="secret-text">
        <code>{secret}</code>
        <CopyButton text={secret} what="the secret">
          Copy
        </CopyButton>
      </p>
    </section>
  )
}

function Health({ endpoint: { health, disabled } }: { endpoint: Endpoint }) {
  const at = (time: string | null): string => (time === null ? 'never' : moment(time, serviceNow()))
  return (
    <Figures>
      <Figure name="Last success" value={at(health.succeeded_at)} />
      <Figure
        name="Failures since then"
        value={health.failures}
        note={health.failing_since === null ? null : `first ${at(health.failing_since)}`}
        bad={health.failures > 0}
      />
      {health.paused_until !== null && Date.parse(health.paused_until) > serviceNow() && (
        <Figure name="Next attempt" value={at(health.paused_until)} />
      )}
      {disabled !== null && <Figure name="Disabled" value={at(disabled.at)} note="its events are kept" />}
    </Figures>
  )
}

interface ActionsProps {
  endpoint: Endpoint
  rotate: () => Promise<void>
  changed: () => Promise<void>
}

function Actions({ endpoint, rotate, changed }: ActionsProps) {
  const { id, kind, disabled } = endpoint
  const { client } = useStudio()
  const test = useAction(async () => {
    const tested = await client.testEndpoint(id)
    await changed()
    return tested
  })
  const ask = useAction(() => client.confirmEndpoint(id))
  const toggle = useAction(async () => {
    await (disabled === null ? client.disableEndpoint(id) : client.enableEndpoint(id))
    await changed()
  })
  return (
    <>
      <div className="buttons endpoint-actions">
        {isTestable(endpoint) && (
          <button type="button" className="button" disabled={test.busy} onClick={test.run}>
            {test.busy ? 'Sending…' : 'Send a test'}
          </button>
        )}
        {isUnconfirmed(endpoint) && (
          <button type="button" className="button" disabled={ask.busy} onClick={ask.run}>
            {ask.busy ? 'Sending…' : 'Send the confirmation again'}
          </button>
        )}
        <button type="button" className="button" disabled={toggle.busy} onClick={toggle.run}>
          {disabled === null ? 'Disable' : 'Enable'}
        </button>
        {kind === 'webhook' && (
          <ConfirmButton
            icon={<RotateCw />}
            label="Rotate secret"
            busy="Rotating…"
            question="Makes a new secret. The current one signs too for a day, so that the receiver can be changed."
            yes="Rotate"
            no="Keep"
            act={rotate}
          />
        )}
        <ConfirmButton
          icon={<Trash2 />}
          label="Delete"
          busy="Deleting…"
          question="Deletes the endpoint. What still waits for it is not sent."
          yes="Delete"
          no="Keep"
          act={async () => {
            await client.deleteEndpoint(id)
            go('/notifications', { replace: true })
          }}
        />
      </div>
      <Problem text={toggle.problem ?? test.problem ?? ask.problem} />
      {ask.result && isUnconfirmed(endpoint) && (
        <p className="muted" role="status">
          Another mail is on its way. The log shows when it was sent.
        </p>
      )}
      {test.result && <TestResult test={test.result} />}
    </>
  )
}

function TestResult({ test: { attempt, delivered } }: { test: EndpointTest }) {
  return (
    <div className="test-result" role="status">
      <p className="card-sub">{delivered ? 'The test was accepted' : 'The test was not accepted'}</p>
      <Attempt attempt={attempt} />
    </div>
  )
}
