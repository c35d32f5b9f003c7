import { rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Client } from '../client/client.ts'
import { saveFile } from '../client/node.ts'
import type { Job } from '../client/types.ts'
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
    const number = job.artifacts.length === 1 ? '' : `-${at + 1}`
    const path = join(folder, `${stem}${number}.${endingOf(artifact)}`)
    await saveFile(client, artifact, path)
    saved.push(path)
  }
  if (job.artifacts.length > 0 || job.output === null) return saved
  const [text, ending] = typeof job.output === 'string' ? [job.output, 'txt'] : [JSON.stringify(job.output), 'json']
  saved.push(await writeWhole(join(folder, `${stem}.${ending}`), text))
  return saved
}

/** Renames a complete file into place, so that no partial file has its final name. */
async function writeWhole(file: string, contents: string): Promise<string> {
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
