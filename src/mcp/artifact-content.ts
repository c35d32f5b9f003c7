import type { CallToolResult } from '@modelcontextprotocol/server'
import type { Artifact, Client, Job } from '../client/client.ts'
import { artifactView, lineOf } from './views.ts'

/** Types of pictures that models can read. */
const READABLE = new Set(['image/png', 'image/jpeg', 'image/webp', 'image/gif'])
/** Limit of a picture in an answer, bytes; base64 adds a third. */
const MAX_PICTURE_BYTES = 1024 * 1024

export interface Shown {
  /** Id of the artifact; absent: the first one. */
  artifact: string | undefined
  account: unknown
  signal: AbortSignal
}

/** A file of a job: a picture as it is or as its thumbnail, and a link to the file. */
export async function showArtifact(
  client: Pick<Client, 'download'>,
  job: Job,
  { artifact: wanted, account, signal }: Shown,
): Promise<CallToolResult> {
  const found = job.artifacts.find(({ id }) => id === wanted) ?? (wanted === undefined ? job.artifacts[0] : undefined)
  if (found === undefined) return missing(job, wanted)
  const picture = pictureOf(found)
  const about = {
    ...lineOf(job),
    artifact: artifactView(found),
    shown: picture === null ? 'link' : picture.url === found.url ? 'picture' : 'thumbnail',
    account,
  }
  return {
    content: [
      { type: 'text', text: JSON.stringify(about) },
      ...(picture === null ? [] : [await imageOf(client, picture, signal)]),
      {
        type: 'resource_link',
        uri: found.url,
        name: found.name,
        mimeType: found.media_type,
        size: found.bytes,
      },
    ],
  }
}

/** What is shown as a picture; null: nothing. */
function pictureOf({ url, media_type, bytes, thumbnail_url }: Artifact): { url: string; mimeType: string } | null {
  if (READABLE.has(media_type) && bytes <= MAX_PICTURE_BYTES) return { url, mimeType: media_type }
  return thumbnail_url === null ? null : { url: thumbnail_url, mimeType: 'image/webp' }
}

async function imageOf(
  client: Pick<Client, 'download'>,
  { url, mimeType }: { url: string; mimeType: string },
  signal: AbortSignal,
) {
  const bytes = await client.download(url, { signal })
  return { type: 'image' as const, data: Buffer.from(bytes).toString('base64'), mimeType }
}

function missing({ id, status, artifacts, output }: Job, wanted: string | undefined): CallToolResult {
  const failure = {
    code: 'not_found',
    message: wanted === undefined ? `The job has no files. It is ${status}.` : 'The job has no such artifact.',
    what_to_do:
      artifacts.length > 0
        ? `Use one of ${artifacts.map((one) => one.id).join(', ')}.`
        : status === 'succeeded' && output !== null
          ? `Read its output with get and id ${id}.`
          : `Call wait with id ${id} first; files exist once the job has succeeded.`,
    retryable: false,
  }
  return { isError: true, content: [{ type: 'text', text: JSON.stringify(failure) }] }
}
