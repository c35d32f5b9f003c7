import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { format } from 'oxfmt'
import { Document as YamlDocument, visit } from 'yaml'
import { z } from 'zod'
import { makeDocument } from '../../src/api/description/document.ts'
import { ERRORS } from '../../src/shared/errors/service-error.ts'
import { pythonTypesOf } from './python.ts'
import { typesOf } from './typescript.ts'

const ROOT = join(import.meta.dirname, '../..')
const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8')

const HEAD = ` The HTTP API of genqueue. Made from src/api/description by "npm run build:api"; do not edit. Served as /openapi.json
 and rendered as /docs.`

/** What .oxfmtrc.json says of TypeScript. */
const formatOptions = z.object({
  printWidth: z.number(),
  semi: z.boolean(),
  singleQuote: z.boolean(),
  trailingComma: z.enum(['all', 'es5', 'none']),
})

/** The files that are made from the schemas of the API: their texts by path. */
export async function generatedFiles(): Promise<Map<string, string>> {
  const { version } = z.object({ version: z.string() }).parse(JSON.parse(read('package.json')))
  const document = makeDocument(version)
  return new Map([
    ['docs/openapi.yaml', yamlOf(document)],
    ['src/client/types.ts', await formatted('src/client/types.ts', typesOf(document))],
    ['clients/python/src/genqueue/types.py', pythonTypesOf(document)],
    ['docs/errors.md', withErrors(read('docs/errors.md'))],
  ])
}

function yamlOf(value: object): string {
  // Words such as `no` in quotes, for readers of YAML 1.1.
  const yaml = new YamlDocument(value, { aliasDuplicateObjects: false, compat: 'yaml-1.1' })
  yaml.commentBefore = HEAD
  visit(yaml, {
    // A list of words, or a reference alone, is read best in one line.
    Seq: (_key, node) => {
      if (JSON.stringify(node).length < 100 && !/[{]/.test(JSON.stringify(node))) node.flow = true
    },
    Map: (_key, node) => {
      if (node.items.length === 1 && node.has('$ref')) node.flow = true
    },
  })
  return yaml.toString({ lineWidth: 120, singleQuote: true, flowCollectionPadding: true })
}

async function formatted(file: string, text: string): Promise<string> {
  const { code, errors } = await format(file, text, formatOptions.parse(JSON.parse(read('.oxfmtrc.json'))))
  const [first] = errors
  if (first) throw new Error(`${file}: ${first.message}`)
  return code
}

/** The page with the table of the errors of a request. */
function withErrors(page: string): string {
  const rows = Object.entries(ERRORS).map(
    ([code, { status, retryable, meaning }]) =>
      `| \`${code}\` | ${status} | ${retryable ? 'yes' : 'no'} | ${meaning} |\n`,
  )
  return page.replace(
    /(\n\| code \| status \|[^\n]*\n\|[-|]+\|\n)(?:\| `[^\n]*\n)+/,
    (_table, head: string) => head + rows.join(''),
  )
}
