const IMAGES = new Set(['image/png', 'image/jpeg', 'image/webp', 'image/gif', 'image/avif'])
const VIDEOS = new Set(['video/mp4', 'video/webm', 'video/quicktime'])
const AUDIOS = new Set([
  'audio/mpeg',
  'audio/mp4',
  'audio/wav',
  'audio/x-wav',
  'audio/wave',
  'audio/ogg',
  'audio/flac',
  'audio/webm',
  'audio/aac',
])

/** Shown as plain text, never interpreted. */
const TEXTS = new Set(['text/plain', 'text/markdown', 'text/csv', 'application/json', 'application/x-ndjson'])

/** Kinds that are shown in place. Anything else, such as SVG and HTML, can only be downloaded. */
export function mediaKind(mediaType: string): 'image' | 'video' | 'audio' | 'text' | 'file' {
  const type = mediaType.split(';')[0]?.trim().toLowerCase() ?? ''
  if (IMAGES.has(type)) return 'image'
  if (VIDEOS.has(type)) return 'video'
  if (TEXTS.has(type)) return 'text'
  return AUDIOS.has(type) ? 'audio' : 'file'
}

/** URL that downloads a file under the service's name for it, from any storage. */
export const downloadUrl = (url: string): string => `${url}${url.includes('?') ? '&' : '?'}download=1`
