/** The bytes of a data URI; null when it is not valid. */
export function bytesOfDataUri(address: string): Buffer | null {
  const [, head = '', data] = /^data:([^,]*),(.*)$/s.exec(address) ?? []
  if (data === undefined) return null
  if (head.endsWith(';base64')) return Buffer.from(data, 'base64')
  try {
    return Buffer.from(decodeURIComponent(data))
  } catch {
    return null
  }
}
