import { useMemo } from 'react'
import type { Client } from '../client/client.ts'
import { Composer } from './composer.tsx'
import { Link, useAddress } from './router.tsx'
import { RunPage } from './run/run-page.tsx'
import { createRuns } from './runs.ts'
import { useSession } from './session.ts'
import { ContactSheet } from './sheet/contact-sheet.tsx'
import { Shell } from './shell.tsx'
import { SignIn } from './sign-in.tsx'
import { StudioContext } from './studio-context.ts'

export function App({ client }: { client: Client }) {
  const { needed, epoch } = useSession()
  // Another session may be another tenant: nothing of the last one is kept.
  const studio = useMemo(() => ({ client, runs: createRuns(client), epoch }), [client, epoch])
  if (needed) return <SignIn client={client} />
  return (
    <StudioContext value={studio} key={epoch}>
      <Shell>
        <CurrentPage />
      </Shell>
    </StudioContext>
  )
}

function CurrentPage() {
  const address = useAddress()
  switch (address.page) {
    case 'run':
      return <RunPage key={address.runId} id={address.runId} />
    case 'lost':
      return (
        <main className="notice">
          <h1>There is no such page</h1>
          <p>
            <Link href="/">All runs</Link>
          </p>
        </main>
      )
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
