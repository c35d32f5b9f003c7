import { LucideProvider } from 'lucide-react'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { createClient } from '../client/client.ts'
import { App } from './app.tsx'
import { learnClock } from './clock.ts'
import { session } from './session.ts'
import { enterByLink } from './sign-in-link.ts'
import './styles/tokens.css'
import './styles/base.css'
import './styles/shell.css'
import './styles/composer.css'
import './styles/sheet.css'
import './styles/run.css'
import './styles/pages.css'
import './styles/notifications.css'

/** Every response passes here: reads the service's time, and asks for sign-in on a 401. */
const watched: typeof fetch = async (input, init) => {
  const response = await fetch(input, init)
  learnClock(response.headers.get('date'))
  if (response.status === 401 && !(typeof input === 'string' && input.endsWith('/v1/session'))) session.refused()
  return response
}

const client = createClient({ baseUrl: '', fetch: watched })

// Pages restore their own scroll position: the browser would do it before the sheet is in the document.
history.scrollRestoration = 'manual'

const root = document.getElementById('studio')
if (!root) throw new Error('index.html lacks #studio')
const page = createRoot(root)
// Also handles a link opened in a tab that already shows Studio.
window.addEventListener('hashchange', () => void enterByLink(client))
void enterByLink(client).then(() =>
  page.render(
    <StrictMode>
      {/* Lucide draws on a grid of 24: this stroke is 1.5 pixels wide at 16. */}
      <LucideProvider size={16} strokeWidth={2.25} className="icon">
        <App client={client} />
      </LucideProvider>
    </StrictMode>,
  ),
)
