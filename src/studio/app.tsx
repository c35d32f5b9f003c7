import { QueryClientProvider } from '@tanstack/react-query'
import { useEffect, useMemo, useRef } from 'react'
import { Link, Route, Router, Switch, useLocation } from 'wouter'
import type { Client } from '../client/client.ts'
import { go } from './address.ts'
import { BatchList } from './batches/batch-list.tsx'
import { BatchPage } from './batches/batch-page.tsx'
import { NewBatch } from './batches/new-batch.tsx'
import { Composer } from './composer.tsx'
import { CreditsPage } from './credits/credits-page.tsx'
import { HealthPage } from './health/health-page.tsx'
import { Notifications } from './notifications/notifications-page.tsx'
import { createQueries } from './queries.ts'
import { RunPage } from './run/run-page.tsx'
import { createRuns } from './run-store.ts'
import { useFollowAll } from './runs.ts'
import { useSession } from './session.ts'
import { ContactSheet } from './sheet/contact-sheet.tsx'
import { Shell } from './shell.tsx'
import { SignIn } from './sign-in.tsx'
import { StudioContext } from './studio-context.ts'

export function App({ client }: { client: Client }) {
  const { needed, epoch } = useSession()
  // Another session may be another tenant, so all state of the last one is dropped.
  const studio = useMemo(() => ({ client, runs: createRuns(client), queries: createQueries(), epoch }), [client, epoch])
  if (needed) return <SignIn client={client} />
  return (
    <QueryClientProvider client={studio.queries} key={epoch}>
      <StudioContext value={studio}>
        <Router aroundNav={(_navigate, to, options) => go(to, options)}>
          <Shell>
            <CurrentPage />
          </Shell>
        </Router>
      </StudioContext>
    </QueryClientProvider>
  )
}

/** Moves the focus from a link of the previous page to the new page. */
function useFocusOnPage(path: string): void {
  const shown = useRef(path)
  useEffect(() => {
    if (shown.current === path) return
    shown.current = path
    const main = document.querySelector('main')
    if (!main || document.activeElement !== document.body) return
    main.tabIndex = -1
    main.focus({ preventScroll: true })
  }, [path])
}

/** `/new` is the composer alone on narrow screens; on others it is the sheet too, which stays as it is. */
const DESK = /^\/(?:new\/?)?$/

function CurrentPage() {
  const [path] = useLocation()
  useFocusOnPage(path)
  return (
    <Switch>
      <Route path={DESK}>
        <main className={path === '/' ? 'desk desk-sheet' : 'desk desk-new'}>
          <Composer />
          <ContactSheet />
        </main>
      </Route>
      <Route path="/runs/:id">{({ id }) => <RunPage key={id} id={id} />}</Route>
      <Route path="/batches">
        <BatchList />
      </Route>
      <Route path="/batches/new">
        <NewBatch />
      </Route>
      <Route path="/batches/:id">{({ id }) => <BatchPage key={id} id={id} />}</Route>
      <Route path="/credits">
        <CreditsPage />
      </Route>
      {/* With everything below it. */}
      <Route path="/notifications/*?">
        <Notifications />
      </Route>
      <Route path="/health">
        <HealthPage />
      </Route>
      <Route>
        <LostPage />
      </Route>
    </Switch>
  )
}

function LostPage() {
  useFollowAll()
  useEffect(() => void (document.title = 'Not found · genqueue'), [])
  return (
    <main className="notice">
      <h1>Page not found</h1>
      <p>
        <Link href="/">All runs</Link>
      </p>
    </main>
  )
}
