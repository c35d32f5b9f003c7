import { join } from 'node:path'
import { build } from 'vite'

const ROOT = join(import.meta.dirname, '../..')
const ENTRY = 'virtual:client-page'

/** Follows jobs by hooks in strict mode, and sends files; `window.product` is for the test. */
const SOURCE = `
import { createElement, StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { createClient } from '${ROOT}/src/client/client.ts'
import { useBatch, useJob } from '${ROOT}/src/client/react.ts'

/** Signals of the streams that were opened. */
const streams = []
const counting = (url, init) => {
  if (String(url).endsWith('/events')) streams.push(init.signal)
  return fetch(url, init)
}
const proxied = createClient({ baseUrl: '/api/genqueue', fetch: counting })

function Watched({ id, how }) {
  const { job, error, connection } = useJob(id, how)
  return createElement('p', { id: 'job', 'data-connection': connection },
    job ? job.status : error ? error.code : 'waiting',
    job?.artifacts.map(({ id, url }) => createElement('img', { key: id, src: url })))
}
function WatchedBatch({ id, how }) {
  const { batch, error } = useBatch(id, how)
  return createElement('p', { id: 'batch' }, batch ? batch.status + ' ' + batch.counts.succeeded : error ? error.code : 'waiting')
}

let root
window.product = {
  proxied,
  streams,
  show: (what, id, how) => {
    root?.unmount()
    root = createRoot(document.getElementById('root'))
    const shown = what === 'job' ? Watched : WatchedBatch
    root.render(createElement(StrictMode, null, createElement(shown, { id, how: how ?? { client: proxied } })))
  },
  leave: () => root.unmount(),
}
`

/** A product's page as one HTML document. */
export async function clientPage(): Promise<string> {
  const made = await build({
    configFile: false,
    root: ROOT,
    logLevel: 'error',
    define: { 'process.env.NODE_ENV': '"development"' },
    build: { write: false, minify: false, rolldownOptions: { input: ENTRY } },
    plugins: [
      {
        name: 'client-page',
        resolveId: (id) => (id === ENTRY ? id : null),
        load: (id) => (id === ENTRY ? SOURCE : null),
      },
    ],
  })
  const [bundle] = [made].flat()
  const script = bundle && 'output' in bundle ? bundle.output[0].code : ''
  const inline = script.replaceAll('</script', '<\\/script')
  return `<!doctype html><title>a product</title><div id="root"></div><script type="module">${inline}</script>`
}
