import { createHash } from 'node:crypto'
import { rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Client } from '../client/client.ts'
import type { Job } from '../client/types.ts'
import { BrokenFileError } from './failures.ts'
import { endingOf } from './format.ts'
import { makeFolder } from '../shared/process/make-folder.ts'

/**
 * Saves the files of a job into a folder, and returns the paths. Names consist of `stem` and an extension by type; no part
 * of a URL is used.
 */
export async function saveFiles(client: Client, job: Job, folder: string, stem: string): Promise<string[]> {
  await makeFolder(folder)
  const saved: string[] = []
  for (const [at, artifact] of job.artifacts.entries()) {
    const bytes = await client.download(artifact)
    const sum = createHash('sha256').update(bytes).digest('hex')
    if (sum !== artifact.sha256)
      throw new BrokenFileError(`The content of ${artifact.id} does not match its stored checksum.`)
    const number = job.artifacts.length === 1 ? '' : `-${at + 1}`
    saved.push(await writeWhole(join(folder, `${stem}${number}.${endingOf(artifact)}`), bytes))
  }
  if (job.artifacts.length > 0 || job.output === null) return saved
  const [text, ending] = typeof job.output === 'string' ? [job.output, 'txt'] : [JSON.stringify(job.output), 'json']
  saved.push(await writeWhole(join(folder, `${stem}.${ending}`), text))
  return saved
}

/** Renames a complete file into place, so that no partial file has its final name. */
async function writeWhole(file: string, contents: string | Uint8Array): Promise<string> {
  const part = `${file}.part`
  try {
    await writeFile(part, contents)
    await rename(part, file)
  } catch (error) {
    await rm(part, { force: true })
    throw error
  }
  return file
}
