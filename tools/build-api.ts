import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generatedFiles } from './api/generated-files.ts'

/** Writes the files that are made from the schemas of the API, and names those that changed. */

const root = join(import.meta.dirname, '..')
for (const [file, text] of await generatedFiles()) {
  if (readFileSync(join(root, file), 'utf8') === text) continue
  writeFileSync(join(root, file), text)
  console.log(file)
}
