import { useEffect, useMemo, useRef } from 'react'
import type { Client } from '../client/client.ts'
import { BatchList } from './batches/batch-list.tsx'
import { BatchPage } from './batches/batch-page.tsx'
import { NewBatch } from './batches/new-batch.tsx'
import { createCatalogue } from './catalogue.ts'
import { Composer } from './composer.tsx'
import { CreditsPage } from './credits/credits-page.tsx'
import { HealthPage } from './health/health-page.tsx'
import { Link, useAddress } from './router.tsx'
import { RunPage } from './run/run-page.tsx'
import { createRuns } from './run-store.ts'
import { useFollowAll } from './runs.ts'
import { useSession } from './session.ts'
import { ContactSheet } from './sheet/contact-sheet.tsx'
import { Shell } from './shell.tsx'
import { SignIn } from './sign-in.tsx'
import { StudioContext } from './studio-context.ts'
import { useReadWho, WhoContext } from './who.ts'

export function App({ client }: { client: Client }) {
  const { needed, epoch } = useSession()
  // Another session may be another tenant, so all state of the last one is dropped.
  const studio = useMemo(
    () => ({ client, runs: createRuns(client), catalogue: createCatalogue(client), epoch }),
    [client, epoch],
  )
  const who = useReadWho(client, epoch)
  if (needed) return <SignIn client={client} />
  return (
    <StudioContext value={studio} key={epoch}>
      <WhoContext value={who}>
        <Shell>
          <CurrentPage />
        </Shell>
      </WhoContext>
    </StudioContext>
  )
}

/** Moves the focus from a link of the previous page to the new page. */
function useFocusOnPage(place: string): void {
  const shown = useRef(place)
  useEffect(() => {
    if (shown.current === place) return
    shown.current = place
    const main = document.querySelector('main')
    if (!main || document.activeElement !== document.body) return
    main.tabIndex = -1
    main.focus({ preventScroll: true })
  }, [place])
}

function CurrentPage() {
  const address = useAddress()
  useFocusOnPage(`${address.page} ${address.runId} ${address.batchId}`)
  switch (address.page) {
    case 'run':
      return <RunPage key={address.runId} id={address.runId} />
    case 'batches':
      return <BatchList />
    case 'batch':
      return <BatchPage key={address.batchId} id={address.batchId} />
    case 'new-batch':
      return <NewBatch />
    case 'credits':
      return <CreditsPage />
    case 'health':
      return <HealthPage />
    case 'lost':
      return <LostPage />
    case 'sheet':
    case 'new':
      break
  }
  return (
    <main className={`desk desk-${address.page}`}>
      <Composer />
      <ContactSheet />
    </main>
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
