import { escapeHtml as escape } from '../shared/values/escape-html.ts'
import { METHODS, type ApiDescription, type Operation, type Schema } from './api-description.ts'

/** API description as one self-contained HTML page, without scripts and images. */

/** Prose: `code` is the only mark-up. */
const prose = (text: string): string => escape(text).replace(/`([^`]+)`/g, '<code>$1</code>')

const nameOf = (ref: string): string => ref.split('/').at(-1) ?? ref

function typeOf(schema: Schema): string {
  if (schema.$ref) return `<a href="#${escape(nameOf(schema.$ref))}">${escape(nameOf(schema.$ref))}</a>`
  const either = schema.anyOf ?? schema.oneOf
  if (either && !schema.properties) return either.map(typeOf).join(' or ')
  if (schema.enum) return schema.enum.map((value) => `<code>${escape(String(value))}</code>`).join(' ')
  const types = [schema.type ?? 'any'].flat()
  return types
    .map((type) => (type === 'array' && schema.items ? `array of ${typeOf(schema.items)}` : type))
    .join(' or ')
}

function limitsOf({ minimum, maximum, default: preset }: Schema): string {
  const range =
    minimum !== undefined && maximum !== undefined
      ? `${minimum} to ${maximum}`
      : minimum !== undefined
        ? `${minimum} or more`
        : ''
  const usual = preset === undefined ? '' : `default <code>${escape(JSON.stringify(preset))}</code>`
  return [range, usual].filter(Boolean).join(', ')
}

const row = (name: string, type: string, words: string): string =>
  `<tr><th scope="row">${name}</th><td>${type}</td><td>${words}</td></tr>`

const table = (rows: string[]): string =>
  rows.length > 0 ? `<div class="wide"><table><tbody>${rows.join('')}</tbody></table></div>` : ''

function fields(schema: Schema): string {
  const rows = Object.entries(schema.properties ?? {}).map(([name, field]) => {
    const optional = schema.required?.includes(name) ? '' : ' <span class="quiet">optional</span>'
    const words = [prose(field.description ?? ''), limitsOf(field)].filter(Boolean).join(' ')
    return row(`<code>${escape(name)}</code>${optional}`, typeOf(field), words)
  })
  return table(rows)
}

export function renderApiPage({ info, tags, paths, components }: ApiDescription): string {
  type Answer = Operation['responses'][string]

  const parameters = (operation: Operation): string =>
    table(
      operation.parameters.map(({ name, in: place, description, schema }) => {
        const words = [prose(description), limitsOf(schema)].filter(Boolean).join(' ')
        return row(`<code>${escape(name)}</code> <span class="quiet">${place}</span>`, typeOf(schema), words)
      }),
    )

  function body({ requestBody }: Operation): string {
    const [media] = Object.values(requestBody?.content ?? {})
    if (!requestBody || !media?.schema) return ''
    return `<p>Body: ${typeOf(media.schema)}. ${prose(requestBody.description)}</p>`
  }

  function answers({ responses }: Operation): string {
    const shown = (answer: Answer): { words: string; type: string } => {
      const known = '$ref' in answer ? components.responses[nameOf(String(answer.$ref))] : answer
      if (!known || '$ref' in known) return { words: '', type: '' }
      const [media] = Object.entries(known.content ?? {})
      const type = media ? (media[1].schema?.$ref ? typeOf(media[1].schema) : `<code>${escape(media[0])}</code>`) : ''
      return { words: known.description, type }
    }
    const good = Object.entries(responses).filter(([, answer]) => !('$ref' in answer))
    const rows = good.map(([status, answer]) => row(status, shown(answer).type, prose(shown(answer).words)))
    const bad = Object.entries(responses).flatMap(([status, answer]) =>
      '$ref' in answer ? [row(status, '<a href="#Problem">Problem</a>', prose(answer.description))] : [],
    )
    return table([...rows, ...bad])
  }

  const operations = Object.entries(paths).flatMap(([path, item]) =>
    METHODS.flatMap((method) => {
      const operation = item[method]
      return operation ? [{ method, path, operation }] : []
    }),
  )

  const article = ({ method, path, operation }: (typeof operations)[number]): string =>
    `<article id="${escape(operation.operationId)}"><h3><span class="method">${method.toUpperCase()}</span> ` +
    `<code>${escape(path)}</code></h3><p><strong>${prose(operation.summary)}.</strong> ${prose(operation.description)}` +
    `${operation.security?.length === 0 ? ' No credentials.' : ''}</p>${parameters(operation)}${body(operation)}` +
    `<h4>Responses</h4>${answers(operation)}</article>`

  const sections = tags.map(({ name, description }) => {
    const mine = operations.filter(({ operation }) => operation.tags[0] === name)
    return { name, description, mine }
  })

  const contents = sections
    .map(
      ({ name, mine }) =>
        `<li>${escape(name)}<ul>${mine
          .map(
            ({ operation }) => `<li><a href="#${escape(operation.operationId)}">${prose(operation.summary)}</a></li>`,
          )
          .join('')}</ul></li>`,
    )
    .join('')

  const shapes = Object.entries(components.schemas).map(([name, schema]) => {
    const plain = schema.properties ? fields(schema) : `<p>${typeOf(schema)}</p>`
    const words = schema.description ? `<p>${prose(schema.description)}</p>` : ''
    return `<article id="${escape(name)}"><h3><code>${escape(name)}</code></h3>${words}${plain}</article>`
  })

  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>${escape(info.title)} API</title>
<link rel="stylesheet" href="/docs/style.css"></head>
<body><nav aria-label="Contents"><p><strong>${escape(info.title)}</strong> ${escape(info.version)}</p>
<ul>${contents}<li><a href="#shapes">Shapes</a></li><li><a href="/openapi.json">openapi.json</a></li>
<li><a href="/openapi.yaml">openapi.yaml</a></li><li><a href="/">Studio</a></li></ul></nav>
<main><h1>${escape(info.title)} API</h1><p>${prose(info.summary)} ${prose(info.description)}</p>
${sections
  .map(
    ({ name, description, mine }) =>
      `<h2>${escape(name)}</h2><p>${prose(description)}</p>${mine.map(article).join('')}`,
  )
  .join('')}
<h2 id="shapes">Shapes</h2>${shapes.join('')}</main></body></html>
`
}

export const API_PAGE_STYLE = `:root{color-scheme:light dark;--bg:light-dark(#fafafa,#0e0e10);--text:light-dark(#18181b,#ededf0);
--muted:light-dark(#5e5e68,#a0a0ab);--line:light-dark(#e6e6ea,#26262b);--mat:light-dark(#f0f0f2,#1c1c20);
--accent:light-dark(#3d4fe0,#97a4ff)}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--text);font:16px/1.6 system-ui,sans-serif;display:grid;
grid-template-columns:16rem minmax(0,1fr);gap:2rem;max-width:80rem;margin-inline:auto;padding-inline:1.5rem}
nav{position:sticky;top:0;align-self:start;max-height:100vh;overflow:auto;padding-block:1.5rem;font-size:.875rem}
nav ul{list-style:none;padding:0;margin:0}nav ul ul{padding-left:.75rem;margin-bottom:.75rem}
main{padding-block:1.5rem 6rem}
h1{font-size:1.75rem;line-height:1.2}h2{margin-top:3rem;font-size:1.375rem}
h3{font-size:1rem;margin:0 0 .5rem}h4{font-size:.875rem;margin:1rem 0 .25rem;color:var(--muted)}
article{border-top:1px solid var(--line);padding-block:1.25rem;scroll-margin-top:.5rem}
a{color:var(--accent)}a:focus-visible{outline:2px solid var(--accent);outline-offset:2px;border-radius:2px}
code{font:.875em/1.4 ui-monospace,Menlo,Consolas,monospace;background:var(--mat);padding:.1em .35em;border-radius:4px;
overflow-wrap:anywhere}
.method{font:600 .75rem/1 ui-monospace,Menlo,Consolas,monospace;color:var(--accent)}.quiet{color:var(--muted);font-weight:400;font-size:.8125rem}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.875rem}
th,td{text-align:left;vertical-align:top;padding:.375rem .75rem .375rem 0;border-top:1px solid var(--line)}
th{font-weight:500;width:14rem;min-width:9rem}td:nth-child(2){width:12rem;min-width:8rem}
@media(max-width:48rem){body{grid-template-columns:minmax(0,1fr);gap:0;padding-inline:1rem}nav{position:static;max-height:none;padding-bottom:0}}
`
