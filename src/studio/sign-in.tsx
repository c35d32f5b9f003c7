import { useState, type FormEvent } from 'react'
import { ApiError, type Client } from '../client/client.ts'
import { errorText } from './error-text.ts'
import { Logo } from './logo.tsx'
import { session, useSession } from './session.ts'
import { ThemeSwitch } from './shell.tsx'

export function SignIn({ client }: { client: Client }) {
  const [key, setKey] = useState('')
  const { linkProblem } = useSession()
  const [problem, setProblem] = useState<string | null>(null)
  const [busy, setBusy] = useState(false)

  async function enter(): Promise<void> {
    setBusy(true)
    setProblem(null)
    try {
      await client.signIn(key.trim())
      session.entered()
    } catch (error) {
      const refused = error instanceof ApiError && error.status === 401
      setProblem(refused ? 'This key is not valid.' : errorText(error))
      setBusy(false)
    }
  }

  const submit = (event: FormEvent) => {
    event.preventDefault()
    void enter()
  }

  return (
    <main className="sign-in">
      <form className="sign-in-card" onSubmit={submit}>
        <h1 className="wordmark">
          <Logo />
          <span>genqueue</span>
        </h1>
        <p className="muted">Sign in with an API key of this service.</p>
        {linkProblem && (
          <p className="field-error" role="alert">
            {linkProblem}
          </p>
        )}
        <div className="field">
          <label htmlFor="key">API key</label>
          <input
            id="key"
            type="password"
            autoComplete="off"
            spellCheck={false}
            autoFocus
            required
            value={key}
            onChange={(event) => setKey(event.target.value)}
            aria-invalid={problem !== null}
            aria-describedby="key-note"
          />
          <p id="key-note" className={problem ? 'field-error' : 'field-note'} role={problem ? 'alert' : undefined}>
            {problem ?? 'The key is exchanged for a cookie and not stored in this browser.'}
          </p>
        </div>
        <button type="submit" className="button primary wide" disabled={busy}>
          {busy ? 'Signing in…' : 'Sign in'}
        </button>
        <p className="field-note">
          No key? On the service’s machine, <code>npx genqueue login</code> prints a sign-in link. The operator’s key is{' '}
          <code>DEV_API_KEY</code>, or <code>apiKey</code> in <code>credentials.json</code> of <code>DATA_DIR</code>.
        </p>
      </form>
      <ThemeSwitch />
    </main>
  )
}
