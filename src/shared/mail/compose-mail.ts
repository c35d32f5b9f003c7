import type { JobReader } from '../jobs/ports.ts'
import type { ArtifactRecord, JobRecord } from '../jobs/rules/job.ts'
import type { Message } from '../notifications/transport-port.ts'
import { mailText } from './rules/mail-content.ts'
import type { MailText } from './rules/mail-text.ts'

export interface ComposeMailDependencies {
  jobs: JobReader
  /** Ids of the first jobs of a batch. */
  firstJobs: (batch: string, limit: number) => Promise<string[]>
  /** A small picture as JPEG; null: it is gone, or not small. */
  pictureOf: (artifact: ArtifactRecord) => Promise<Buffer | null>
  /** A lasting URL. */
  fileUrl: (job: JobRecord, artifact: ArtifactRecord) => string
  /** Where browsers reach this service. */
  origin: () => string
}

type Notification = Message['notification']

/** Jobs of a batch that are searched for a picture. */
const SEARCHED = 10

/** What a mail about a notification says, and shows. */
export function createComposeMail({ jobs, firstJobs, pictureOf, fileUrl, origin }: ComposeMailDependencies) {
  async function jobsOf({ job, batch }: Notification): Promise<JobRecord[]> {
    const ids = job !== null ? [job] : batch === null ? [] : await firstJobs(batch, SEARCHED)
    return (await Promise.all(ids.map((id) => jobs.read(id)))).filter((one) => one !== null)
  }

  function studioUrl({ type, job, batch }: Notification): string | null {
    if (job !== null) return `${origin()}/runs/${job}`
    if (batch !== null) return `${origin()}/batches/${batch}`
    return type.startsWith('credits.') ? `${origin()}/credits` : null
  }

  /** `confirm`: URL at which the address is confirmed, of the mail that asks for it. */
  return async (
    notification: Notification,
    { isCustomer, confirm }: { isCustomer: boolean; confirm: string | null },
  ): Promise<{ text: MailText; picture: Buffer | null }> => {
    const { type, tenant, data } = notification
    const found = (await jobsOf(notification)).filter((job) => job.tenant === tenant)
    const shown = type === 'job.succeeded' || type === 'batch.finished' ? found : []
    const results = shown.flatMap((job) => job.artifacts.map((artifact) => ({ job, artifact })))
    const [first] = results.filter(({ artifact }) => artifact.media_type.startsWith('image/'))
    const text = mailText({
      type,
      tenant,
      data,
      job: notification.job === null ? null : (found[0] ?? null),
      studio: studioUrl(notification),
      files: results.map(({ job, artifact }) => fileUrl(job, artifact)),
      isCustomer,
      confirm,
    })
    return { text, picture: first === undefined ? null : await pictureOf(first.artifact) }
  }
}
export type ComposeMail = ReturnType<typeof createComposeMail>
