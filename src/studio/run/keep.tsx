import { Download, Trash2 } from 'lucide-react'
import { isFinal } from '../../client/client.ts'
import type { Job } from '../../client/types.ts'
import { leave } from '../address.ts'
import { ConfirmButton } from '../confirm-button.tsx'
import { useStudio } from '../studio-context.ts'
import { useMay } from '../who.ts'

/** Actions for a finished run: download its manifest or delete it early. */
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
      icon={<Trash2 />}
      label="Delete"
      busy="Deleting…"
      question="Delete this run? Its input, output and files are removed permanently. Its ledger entries stay."
      yes="Delete it"
      no="Keep it"
      act={remove}
    />
  )
}
