import { useEffect, useMemo } from 'react'
import type { Client } from '../client/client.ts'
import { BatchList } from './batches/batch-list.tsx'
import { BatchPage } from './batches/batch-page.tsx'
import { NewBatch } from './batches/new-batch.tsx'
import { createCatalogueReader } from './catalogue.ts'
import { Composer } from './composer.tsx'
import { CreditsPage } from './credits/credits-page.tsx'
import { HealthPage } from './health/health-page.tsx'
import { Link, useAddress } from './router.tsx'
import { RunPage } from './run/run-page.tsx'
import { createRuns, useFollowAll } from './runs.ts'
import { useSession } from './session.ts'
import { ContactSheet } from './sheet/contact-sheet.tsx'
import { Shell } from './shell.tsx'
import { SignIn } from './sign-in.tsx'
import { StudioContext } from './studio-context.ts'
import { useReadWho, WhoContext } from './who.ts'

export function App({ client }: { client: Client }) {
  const { needed, epoch } = useSession()
  // Another session may be another tenant: nothing of the last one is kept.
  const studio = useMemo(
    () => ({ client, runs: createRuns(client), catalogue: createCatalogueReader(client), epoch }),
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

function CurrentPage() {
  const address = useAddress()
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
      <h1>There is no such page</h1>
      <p>
        <Link href="/">All runs</Link>
      </p>
    </main>
  )
}
