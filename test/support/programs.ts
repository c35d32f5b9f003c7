import { createHash } from 'node:crypto'
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'

const ROOT = join(import.meta.dirname, '../..')

/**
 * The programs that tests start as processes, each bundled with the packages that it loads: reading a thousand modules takes a
 * process longer than everything else it does until it serves. `readme.test.ts` and `test/packages` run them as users do.
 */
const PROGRAMS = {
  service: 'src/main.ts',
  simulator: 'src/simulator/main.ts',
  command: 'src/cli/main.ts',
  chaos: 'test/chaos/process-entry.ts',
}

/** What they load, as files that start none. */
const PARTS = {
  starting: 'src/start.ts',
  composing: 'src/compose/service.ts',
  api: 'src/compose/api.ts',
  workers: 'src/compose/workers.ts',
  simulating: 'src/simulator/start-simulator.ts',
  commands: 'src/cli/command-line.ts',
}

/** The sources of these parts. */
export const PART_SOURCES: readonly string[] = Object.values(PARTS).map((source) => join(ROOT, source))

interface Programs {
  /** The bundle of each program, by its source. */
  programs: Record<string, string>
  parts: string[]
}

/** What has parts in machine code, looks for files beside its own, or is used by few, stays a package. */
const PACKAGES = [
  'sharp',
  'msgpackr-extract',
  'pino',
  'pino-pretty',
  ...['api', 'express', 'ui'].map((name) => `@bull-board/${name}`),
  ...['client-s3', 's3-request-presigner'].map((name) => `@aws-sdk/${name}`),
]

/** Bundles the programs, unless that was done for the same sources. */
export async function bundlePrograms(): Promise<Programs> {
  const caches = join(ROOT, 'node_modules/.cache')
  const folder = join(caches, `genqueue-programs-${hashOfSources()}`)
  if (!existsSync(folder)) {
    removeOld(caches)
    mkdirSync(caches, { recursive: true })
    const work = mkdtempSync(join(caches, 'bundling-'))
    try {
      await bundle(work)
      renameSync(work, folder)
    } catch (error) {
      // Another run may have been first.
      if (!existsSync(folder)) throw error
    } finally {
      rmSync(work, { recursive: true, force: true })
    }
  }
  const bundled = (name: string): string => join(folder, `${name}.mjs`)
  return {
    programs: Object.fromEntries(Object.entries(PROGRAMS).map(([name, source]) => [join(ROOT, source), bundled(name)])),
    parts: Object.keys(PARTS).map(bundled),
  }
}

/** A run that began with other sources may still use theirs. */
const KEPT_MS = 24 * 3_600_000

function removeOld(caches: string): void {
  for (const old of globSync(join(caches, 'genqueue-programs-*')))
    if (Date.now() - statSync(old).mtimeMs > KEPT_MS) rmSync(old, { recursive: true, force: true })
}

function hashOfSources(): string {
  const files = globSync(['src/**/*.ts', 'test/chaos/*.ts', 'test/support/programs.ts', 'package-lock.json'], {
    cwd: ROOT,
    exclude: ['src/studio/**'],
  })
  const sum = createHash('sha256').update(`${process.version}\0${ROOT}\0`)
  for (const file of files.toSorted()) sum.update(`${file}\0`).update(readFileSync(join(ROOT, file)))
  return sum.digest('hex').slice(0, 16)
}

async function bundle(outDir: string): Promise<void> {
  const { build } = await import('vite')
  await build({
    configFile: false,
    root: ROOT,
    logLevel: 'error',
    publicDir: false,
    ssr: { noExternal: true, external: PACKAGES },
    build: {
      ssr: true,
      target: 'node24',
      minify: false,
      outDir,
      rolldownOptions: {
        input: Object.fromEntries(
          Object.entries({ ...PROGRAMS, ...PARTS }).map(([name, source]) => [name, join(ROOT, source)]),
        ),
        output: { entryFileNames: '[name].mjs', chunkFileNames: '[name]-[hash].mjs' },
      },
    },
    plugins: [
      {
        name: 'where-sources-are',
        enforce: 'pre',
        // Scripts, presets and the page are found beside the sources.
        transform: (code, id) =>
          code
            .replaceAll('import.meta.url', JSON.stringify(pathToFileURL(id).href))
            .replaceAll('import.meta.dirname', JSON.stringify(dirname(id))),
      },
    ],
  })
}
