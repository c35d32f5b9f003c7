import type { Client } from '../client/client.ts'

interface Known {
  name: string
  type: string
  bytes: number
}

/** Files uploaded from this page, by their URL in inputs. */
const sent = new Map<string, Known>()

export function knownFile(url: string): Known | null {
  return sent.get(url) ?? null
}

/** Uploads a file. Returns its URL for inputs; rejects with the service's error. */
export async function sendFile(client: Client, file: File): Promise<string> {
  const { url, media_type, bytes } = await client.upload(file)
  sent.set(url, { name: file.name, type: media_type, bytes })
  return url
}
