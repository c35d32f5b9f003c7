import { createHash, randomUUID } from 'node:crypto'
import * as fs from 'node:fs'
import { access, open, readFile, rename, rm } from 'node:fs/promises'
import { basename, extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Client } from './client.ts'
import type { FileSource } from './files.ts'
import type { CallOptions } from './signals.ts'
import type { Artifact } from './types.ts'

export type { FileSource } from './files.ts'
export { verifyWebhook, WebhookVerificationError } from './webhook.ts'
export type { NotificationPayload, NotifiedJob, VerifyOptions, WebhookHeaders } from './webhook.ts'

/** Types that the service cannot detect from the bytes, and those that are common in inputs. */
const TYPES: Record<string, string> = {
  '.csv': 'text/csv',
  '.gif': 'image/gif',
  '.jpeg': 'image/jpeg',
  '.jpg': 'image/jpeg',
  '.json': 'application/json',
  '.md': 'text/markdown',
  '.mov': 'video/quicktime',
  '.mp3': 'audio/mpeg',
  '.mp4': 'video/mp4',
  '.ogg': 'audio/ogg',
  '.pdf': 'application/pdf',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain',
  '.wav': 'audio/wav',
  '.webm': 'video/webm',
  '.webp': 'image/webp',
  '.yaml': 'application/yaml',
  '.yml': 'application/yaml',
  '.zip': 'application/zip',
}

export interface LocalFileOptions {
  /** The name of the file by default. */
  name?: string | undefined
  /** Media type; by the ending of the name by default. The service detects that of pictures, audio and video itself. */
  type?: string | undefined
}

/**
 * A file of this machine for an input or for `upload`. It is opened when it is uploaded; a file that cannot be read rejects
 * the submission with the error of the file system.
 */
export function localFile(path: string | URL, options: LocalFileOptions = {}): FileSource {
  const file = typeof path === 'string' ? path : fileURLToPath(path)
  const { name = basename(file) } = options
  const { type = TYPES[extname(name).toLowerCase()] ?? 'application/octet-stream' } = options
  return { kind: 'genqueue.file', name, type, open: () => openFile(file, type) }
}

async function openFile(path: string, type: string): Promise<Blob> {
  // The error of openAsBlob names neither the file nor the reason.
  await access(path, fs.constants.R_OK)
  // Node 18 has no openAsBlob, which reads the file while it is sent.
  if (!('openAsBlob' in fs)) return new Blob([await readFile(path)], { type })
  return fs.openAsBlob(path, { type })
}

/** The bytes that arrived are not those that the service stored. */
export class ChecksumError extends Error {
  override readonly name = 'ChecksumError'
}

/**
 * Saves a stored file at `path`, in a folder that exists. The file has its name only when it is complete and its checksum is
 * that of the artifact; a file that is there is replaced. Rejects like `download`, with a ChecksumError, or with the error
 * of the file system.
 */
export async function saveFile(
  client: Pick<Client, 'downloadStream'>,
  file: Pick<Artifact, 'url'> & Partial<Pick<Artifact, 'sha256'>>,
  path: string | URL,
  options: CallOptions = {},
): Promise<void> {
  const target = typeof path === 'string' ? path : fileURLToPath(path)
  const part = `${target}.${randomUUID()}.part`
  try {
    const sha256 = await write(await client.downloadStream(file, options), part)
    if (file.sha256 !== undefined && file.sha256 !== sha256)
      throw new ChecksumError(`The content of ${file.url} does not match its checksum.`)
    await rename(part, target)
  } catch (error) {
    await rm(part, { force: true })
    throw error
  }
}

/** Writes all bytes; returns their SHA-256. */
async function write(body: ReadableStream<Uint8Array>, path: string): Promise<string> {
  const hash = createHash('sha256')
  const reader = body.getReader()
  try {
    const file = await open(path, 'wx')
    try {
      for (let read = await reader.read(); !read.done; read = await reader.read()) {
        hash.update(read.value)
        await file.writeFile(read.value)
      }
    } finally {
      await file.close()
    }
  } finally {
    // Without effect on a body that was read to its end.
    await reader.cancel()
  }
  return hash.digest('hex')
}
