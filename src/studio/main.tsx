import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { createClient } from '../client/client.ts'
import { App } from './app.tsx'
import { learnClock } from './clock.ts'
import { session } from './session.ts'
import './styles/tokens.css'
import './styles/base.css'
import './styles/shell.css'
import './styles/composer.css'
import './styles/sheet.css'
import './styles/run.css'
import './styles/pages.css'

/** Every answer passes here: it tells the service's time, and a 401 means that somebody must sign in. */
const watched: typeof fetch = async (input, init) => {
  const response = await fetch(input, init)
  learnClock(response.headers.get('date'))
  if (response.status === 401 && !(typeof input === 'string' && input.endsWith('/v1/session'))) session.refused()
  return response
}

const client = createClient({ baseUrl: '', fetch: watched })

// Pages restore their own position: the sheet is not in the document yet when the browser would do it.
history.scrollRestoration = 'manual'

const root = document.getElementById('studio')
if (!root) throw new Error('index.html lacks #studio')
createRoot(root).render(
  <StrictMode>
    <App client={client} />
  </StrictMode>,
)
