import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { constants, gzip as gzipCompress } from 'node:zlib'
import fastifyPlugin from '@scalar/fastify-api-reference'
import type { Plugin } from 'vite'

const gzip = promisify(gzipCompress)

/**
 * Puts the script of Scalar into docs.html, before the page's own. It is written with gzip only, which every browser reads:
 * uncompressed it is 5 MB, and brotli is not accepted without TLS.
 */
export function scalarScript(): Plugin {
  let file = ''
  return {
    name: 'scalar-script',
    apply: 'build',
    async buildStart() {
      const script = await readScript()
      const hash = createHash('sha256').update(script).digest('base64url').slice(0, 8)
      file = `assets/scalar-${hash}.js`
      this.emitFile({
        type: 'asset',
        fileName: `${file}.gz`,
        source: await gzip(script, { level: constants.Z_BEST_COMPRESSION }),
      })
    },
    transformIndexHtml: {
      order: 'post',
      handler: (_html, { path }) =>
        path === '/docs.html'
          ? [{ tag: 'script', attrs: { src: `/${file}`, defer: true }, injectTo: 'head-prepend' }]
          : [],
    },
  }
}

interface Route {
  url: string
  handler: (request: object, reply: object) => unknown
}

/**
 * Scalar's built script. Its own package, @scalar/api-reference, installs 311 MB; this one contains the script and serves it at
 * a route of Fastify's, whose handler is called here.
 */
async function readScript(): Promise<string> {
  const register: (fastify: object, options: object, done: () => void) => void = fastifyPlugin
  const routes: Route[] = []
  const fastify = { initialConfig: {}, route: (route: Route) => routes.push(route) }
  await new Promise<void>((done) => register(fastify, { configuration: { url: '/openapi.json' } }, done))
  const reply = { header: () => reply, send: (body: unknown) => body }
  const script = routes.find(({ url }) => url.endsWith('.js'))?.handler({}, reply)
  if (typeof script !== 'string' || !script.includes('createApiReference'))
    throw new Error('@scalar/fastify-api-reference does not serve the script any more.')
  return script
}
