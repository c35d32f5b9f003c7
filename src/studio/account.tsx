import { useState } from 'react'
import { ChevronDown } from 'lucide-react'
import { whenToTheMinute } from './format.ts'
import { usePanel } from './panel.ts'
import { session } from './session.ts'
import { useStudio } from './studio-context.ts'
import { SCOPE_WORDS, useWho } from './who.ts'

/** The account menu: tenant, scopes and sign-out. */
export function Account() {
  const who = useWho()
  const { isOpen, box, button, toggle } = usePanel()
  if (!who) return null
  return (
    <div className="account" ref={box}>
      <button
        type="button"
        ref={button}
        className="quiet account-button"
        aria-expanded={isOpen}
        aria-controls="account-panel"
        onClick={toggle}
      >
        <span className="off-screen">Account: </span>
        <span className="account-name">{who.tenant.title}</span>
        <ChevronDown />
      </button>
      {isOpen && (
        <div className="account-panel" id="account-panel">
          <dl className="facts">
            <div>
              <dt>Tenant</dt>
              <dd>
                <span dir="auto">{who.tenant.title}</span>
                <br />
                <code className="muted">{who.tenant.id}</code>
              </dd>
            </div>
            <div>
              <dt>Key</dt>
              <dd>{who.key_id === null ? 'The development key' : <code>{who.key_id}</code>}</dd>
            </div>
            <div>
              <dt>Scopes</dt>
              <dd>
                <ul>
                  {who.scopes.map((scope) => (
                    <li key={scope}>
                      {SCOPE_WORDS[scope] ?? ''} <code className="muted">{scope}</code>
                    </li>
                  ))}
                </ul>
              </dd>
            </div>
            {who.expires_at && (
              <div>
                <dt>Expires</dt>
                <dd>
                  <time dateTime={who.expires_at}>{whenToTheMinute(who.expires_at)}</time>
                </dd>
              </div>
            )}
          </dl>
          <div className="account-foot">
            {who.scopes.includes('admin') && <a href="/admin/queues">Queue board</a>}
            <a href="/docs">API</a>
            <SignOut />
          </div>
        </div>
      )}
    </div>
  )
}

function SignOut() {
  const { client } = useStudio()
  const [failed, setFailed] = useState(false)
  const leave = () => void client.signOut().then(session.left, () => setFailed(true))
  return (
    <>
      {failed && (
        <span className="field-error" role="alert">
          Not signed out: the service did not respond.
        </span>
      )}
      <button type="button" className="button" onClick={leave}>
        Sign out
      </button>
    </>
  )
}
