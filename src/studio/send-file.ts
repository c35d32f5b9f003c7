import { problemOf } from '../client/errors.ts'
import type { Upload } from '../client/types.ts'

interface Known {
  name: string
  type: string
  bytes: number
}

/** What is known of files that were sent from this page, by the address that inputs name them by. */
const sent = new Map<string, Known>()

export function knownFile(url: string): Known | null {
  return sent.get(url) ?? null
}

/** Answers the address to name the file by; rejects with what the service said. */
export async function sendFile(file: File): Promise<string> {
  const body = new FormData()
  body.append('file', file)
  const response = await fetch('/v1/uploads', { method: 'POST', body })
  if (!response.ok) throw await problemOf(response)
  const { url, media_type, bytes }: Upload = await response.json()
  sent.set(url, { name: file.name, type: media_type, bytes })
  return url
}
