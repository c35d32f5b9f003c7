import { isFinal } from '../../client/client.ts'
import type { Job } from '../../client/types.ts'
import { ConfirmButton } from '../confirm-button.tsx'
import { Bin, Download } from '../icons.tsx'
import { leave } from '../router.tsx'
import { useStudio } from '../studio-context.ts'
import { useMay } from '../who.ts'

/** What one does with a run that is over: keep what it was made of, or remove it before its time. */
export function Keep({ job }: { job: Job }) {
  const may = useMay('jobs:write')
  if (!isFinal(job)) return null
  return (
    <div className="buttons keep">
      <a className="button" href={`/v1/jobs/${job.id}/manifest`} download={`${job.id}.manifest.json`}>
        <Download />
        Manifest
      </a>
      {may && <Remove job={job} />}
    </div>
  )
}

function Remove({ job }: { job: Job }) {
  const { client, runs } = useStudio()
  const remove = async () => {
    await client.delete(job.id)
    leave()
    runs.forget(job.id)
  }
  return (
    <ConfirmButton
      icon={<Bin />}
      label="Delete"
      busy="Deleting…"
      question="Its input, its output and its files are removed for good. The ledger stays."
      yes="Delete it"
      no="Keep it"
      act={remove}
    />
  )
}
