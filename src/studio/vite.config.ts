import { fileURLToPath } from 'node:url'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip as gzipCompress } from 'node:zlib'
import react from '@vitejs/plugin-react'
import { defineConfig, type Plugin } from 'vite'
import { scalarScript } from './reference/scalar-script.ts'

const brotli = promisify(brotliCompress)
const gzip = promisify(gzipCompress)
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/**
 * The theme must be set on <html> before the first paint, and the page's CSP forbids inline scripts. So it is a
 * separate blocking classic script, with a hash in its name like every other asset.
 */
function themeBeforePaint(): Plugin {
  return {
    name: 'theme-before-paint',
    async buildStart() {
      this.emitFile({
        type: 'asset',
        name: 'theme.js',
        source: await readFile(here('./theme-before-paint.js'), 'utf8'),
      })
    },
    transformIndexHtml: {
      order: 'post',
      handler(_html, context) {
        const asset = Object.values(context.bundle ?? {}).find(
          (file) => file.type === 'asset' && file.names.includes('theme.js'),
        )
        if (!asset) return []
        return [{ tag: 'script', attrs: { src: `/${asset.fileName}` }, injectTo: 'head-prepend' }]
      },
    },
  }
}

const LONG_ENOUGH = 1024

/**
 * Writes compressed forms beside each script and style, at maximum compression; the api sends the one that the browser
 * accepts.
 */
function compressed(): Plugin {
  return {
    name: 'compressed',
    apply: 'build',
    async writeBundle({ dir = '' }, bundle) {
      const names = Object.keys(bundle).filter((name) => /\.(?:js|css|svg)$/.test(name))
      await Promise.all(
        names.map(async (name) => {
          const file = join(dir, name)
          const bytes = await readFile(file)
          if (bytes.length < LONG_ENOUGH) return
          await writeFile(`${file}.br`, await brotli(bytes))
          await writeFile(`${file}.gz`, await gzip(bytes, { level: constants.Z_BEST_COMPRESSION }))
        }),
      )
    },
  }
}

export default defineConfig({
  root: here('.'),
  base: '/',
  publicDir: false,
  plugins: [react(), themeBeforePaint(), scalarScript(), compressed()],
  build: {
    outDir: here('../../dist/studio'),
    emptyOutDir: true,
    rolldownOptions: { input: [here('./index.html'), here('./docs.html')] },
    // No inlined assets: the page's CSP allows no data: scripts or styles.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // The licences of what the page contains, for the notices of the published package.
    license: true,
    target: 'es2023',
    cssTarget: ['chrome125', 'firefox125', 'safari17.5'],
  },
})
