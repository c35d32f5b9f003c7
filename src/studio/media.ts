import type { Artifact } from '../client/types.ts'

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

/** Shown as the text that it is, whatever stands in it. */
const TEXTS = new Set(['text/plain', 'text/markdown', 'text/csv', 'application/json', 'application/x-ndjson'])

/** What may be shown in place. Anything else, SVG and HTML above all, is only offered as a file. */
export function mediaKind(mediaType: string): 'image' | 'video' | 'audio' | 'text' | 'file' {
  const type = mediaType.split(';')[0]?.trim().toLowerCase() ?? ''
  if (IMAGES.has(type)) return 'image'
  if (VIDEOS.has(type)) return 'video'
  if (TEXTS.has(type)) return 'text'
  return AUDIOS.has(type) ? 'audio' : 'file'
}

const ENDINGS: Record<string, string> = {
  'image/jpeg': 'jpg',
  'image/svg+xml': 'svg',
  'audio/mpeg': 'mp3',
  'audio/x-wav': 'wav',
  'audio/wave': 'wav',
  'video/quicktime': 'mov',
  'text/plain': 'txt',
}

/** A name for the file as it lands among the person's downloads. */
export function fileName(jobId: string, artifact: Artifact, at: number, count: number): string {
  const type = artifact.media_type.split(';')[0]?.trim() ?? ''
  const ending = ENDINGS[type] ?? (/^[a-z]+\/([a-z0-9]{2,5})$/.exec(type)?.[1] || 'bin')
  return `${jobId}${count > 1 ? `-${at + 1}` : ''}.${ending}`
}
