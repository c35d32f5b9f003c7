import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'

const ROOT = join(import.meta.dirname, '../..')
const CACHE = join(ROOT, 'node_modules/.cache/genqueue-documents')

/** The descriptions of the API and of Replicate's own. */
export const OPENAPI = join(ROOT, 'docs/openapi.yaml')
export const REPLICATE_OPENAPI = join(ROOT, 'test/simulator/replicate-openapi.yaml')

/** A YAML document. It is kept as JSON, which is read in a hundredth of the time: every worker needs it. */
export function parsedDocument(file: string): unknown {
  const text = readFileSync(file, 'utf8')
  const kept = join(CACHE, `${createHash('sha256').update(text).digest('hex').slice(0, 16)}.json`)
  if (existsSync(kept)) return JSON.parse(readFileSync(kept, 'utf8'))
  const document: unknown = parse(text)
  mkdirSync(CACHE, { recursive: true })
  const work = `${kept}.${process.pid}`
  writeFileSync(work, JSON.stringify(document))
  renameSync(work, kept)
  return document
}
