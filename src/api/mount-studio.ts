import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import expressStaticGzip from 'express-static-gzip'
import express, { type Express, type Request, type Response } from 'express'

/** Paths of Studio's pages (src/studio/router.tsx). */
const STUDIO_PATHS = [
  '/',
  '/new',
  '/runs/:id',
  '/batches',
  '/batches/new',
  '/batches/:id',
  '/credits',
  '/notifications',
  '/notifications/:id',
  '/notifications/endpoints/:id',
  '/health',
]

/** Paths without pages: routes for programs, and file names. */
const OTHERS_PATH = /^\/(v1|replicate|webhooks|admin|assets)(\/|$)|\.\w+$/

/** Serves Studio. Its page routes return index.html; a file name is a file or 404. */
export function mountStudio(app: Express, studioDir: string | null): void {
  if (studioDir === null) return
  const index = join(studioDir, 'index.html')
  // Precompressed at build time (src/studio/vite.config.ts).
  app.use(
    '/assets',
    expressStaticGzip(join(studioDir, 'assets'), {
      enableBrotli: true,
      orderPreference: ['br', 'gz'],
      index: false,
      serveStatic: { immutable: true, maxAge: '1y', index: false },
    }),
  )
  app.use(express.static(studioDir, { index: false, maxAge: 0 }))
  const sendPage = (_request: Request, response: Response): void => {
    response.setHeader('cache-control', 'no-store')
    // Read for each request, because the page can be rebuilt.
    response.type('html').send(readFileSync(index))
  }
  app.get(STUDIO_PATHS, sendPage)
  // An unknown path returns the page to browsers and a problem document to programs.
  app.use((request, response, next) => {
    if (request.method !== 'GET' || OTHERS_PATH.test(request.path) || request.accepts(['json', 'html']) !== 'html')
      return next()
    response.status(404)
    sendPage(request, response)
  })
}
