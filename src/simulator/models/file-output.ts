import { readFile } from 'node:fs/promises'
import { extname } from 'node:path'
import { bytesOfDataUri } from '../data-uri.ts'
import { type FileOutput, UNKNOWN_TYPE } from './file.ts'

const EXTENSIONS: Record<string, string> = {
  'application/json': 'json',
  'application/pdf': 'pdf',
  'application/x-tar': 'tar',
  'application/zip': 'zip',
  'audio/mpeg': 'mp3',
  'audio/ogg': 'ogg',
  'audio/wav': 'wav',
  'image/gif': 'gif',
  'image/jpeg': 'jpg',
  'image/png': 'png',
  'image/svg+xml': 'svg',
  'image/webp': 'webp',
  'model/gltf-binary': 'glb',
  'text/plain': 'txt',
  'video/mp4': 'mp4',
  'video/webm': 'webm',
}

const isFile = (value: unknown): value is FileOutput =>
  typeof value === 'object' && value !== null && '$file' in value && typeof value.$file === 'string'

/** The files of a value, in the order in which JSON names them. */
export function filesIn(value: unknown): string[] {
  if (isFile(value)) return [value.$file]
  if (typeof value !== 'object' || value === null) return []
  return Object.values(value).flatMap(filesIn)
}

/** The value with another one in place of each file, by its number. */
export function withFiles(value: unknown, shown: (index: number) => unknown): unknown {
  let index = 0
  const walk = (part: unknown): unknown => {
    if (isFile(part)) return shown(index++)
    if (Array.isArray(part)) return part.map(walk)
    if (typeof part !== 'object' || part === null) return part
    return Object.fromEntries(Object.entries(part).map(([name, inner]) => [name, walk(inner)]))
  }
  return walk(value)
}

/** The type of a file: that of its data URI, or the one of its name. */
export function contentTypeOfFile(source: string): string {
  const [, inline] = /^data:([^;,]*)/.exec(source) ?? []
  if (inline !== undefined) return inline === '' ? 'text/plain' : inline
  const extension = extname(source).slice(1).toLowerCase().replace('jpeg', 'jpg')
  return Object.entries(EXTENSIONS).find(([, known]) => known === extension)?.[0] ?? UNKNOWN_TYPE
}

/** `png` for `image/png`. */
export const extensionOf = (contentType: string): string => EXTENSIONS[contentType] ?? 'bin'

/** The bytes of a data URI, or of a file of the machine. Rejects when there is no such file. */
export async function bytesOfFile(source: string): Promise<Buffer> {
  if (!source.startsWith('data:')) return readFile(source)
  return bytesOfDataUri(source) ?? Buffer.alloc(0)
}
