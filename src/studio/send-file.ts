import type { Client } from '../client/client.ts'

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
export async function sendFile(client: Client, file: File): Promise<string> {
  const { url, media_type, bytes } = await client.upload(file)
  sent.set(url, { name: file.name, type: media_type, bytes })
  return url
}
