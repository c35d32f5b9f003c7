/** Extensions that are not the second half of their media type. */
const EXTENSIONS: Record<string, string> = {
  'image/jpeg': 'jpg',
  'image/svg+xml': 'svg',
  'text/plain; charset=utf-8': 'txt',
  'application/json': 'json',
  'video/quicktime': 'mov',
  'audio/mpeg': 'mp3',
  'application/octet-stream': 'bin',
}

/** The extension of a file's name, from the type that was found in its bytes: letters and digits only. */
export function extensionOf(mediaType: string): string {
  const known = EXTENSIONS[mediaType]
  if (known !== undefined) return known
  const plain = mediaType
    .split('/')[1]
    ?.split(';')[0]
    ?.replace(/[^a-z0-9]/g, '')
  return plain ? plain : 'bin'
}
