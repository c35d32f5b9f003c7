import { globSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { join } from 'node:path'
import { z } from 'zod'
import { ROOT } from './build.ts'

/** The package.json of each published package: packages/<name>/package.json, with version and dependencies of the root's. */

const versions = z.record(z.string(), z.string())
const rootSchema = z.object({ version: z.string(), repository: z.unknown().optional(), dependencies: versions })
const publishedSchema = z.looseObject({
  name: z.string(),
  files: z.array(z.string()),
  engines: versions,
  bundleDependencies: z.array(z.string()).default([]),
  peerDependencies: versions.default({}),
})

export type Published = z.infer<typeof publishedSchema> & { version: string; dependencies: Record<string, string> }

const readJson = (file: string): unknown => JSON.parse(readFileSync(file, 'utf8'))

const root = rootSchema.parse(readJson(join(ROOT, 'package.json')))

/** What every package has from the root. */
const SHARED = {
  version: root.version,
  ...(root.repository === undefined ? {} : { repository: root.repository }),
}

/** The manifest as it is written, without version and dependencies. */
function written(name: string) {
  const file = join(ROOT, 'packages', name, 'package.json')
  const manifest = publishedSchema.parse(readJson(file))
  if ('version' in manifest || 'dependencies' in manifest)
    throw new Error(`${file} must not name version or dependencies: they are those of package.json.`)
  return manifest
}

/** The manifest of a package whose compiled files, if it may have dependencies, lie in `compiled`. */
export function manifestOf(name: string, compiled: string | null): Published {
  const manifest = written(name)
  const imported = compiled === null ? [] : importsOf(compiled).filter((one) => !(one in manifest.peerDependencies))
  const dependencies = Object.fromEntries(
    imported.map((one) => {
      const version = root.dependencies[one]
      if (version === undefined) throw new Error(`${manifest.name} imports ${one}, no dependency of package.json.`)
      return [one, version]
    }),
  )
  return { ...manifest, ...SHARED, dependencies }
}

/** The manifest of the service: every dependency of the root but its peers, and what it bundles, of the same version. */
export function serviceManifest(): Published {
  const manifest = written('genqueue')
  const bundled = manifest.bundleDependencies.map((name) => [name, root.version])
  const own = Object.entries(root.dependencies).filter(([name]) => !(name in manifest.peerDependencies))
  return {
    ...manifest,
    ...SHARED,
    dependencies: Object.fromEntries([...bundled, ...own].sort(([a = ''], [b = '']) => (a < b ? -1 : 1))),
  }
}

/** An import of a package, as tsc writes it: each statement on one line. */
const IMPORT = /(?:^(?:import|export) [^'"\n]*\bfrom |^import |\bimport\()['"](?!node:)(@?[a-z][\w./-]*)['"]/gm

const builtIn = new Set(builtinModules)

/** The packages that the modules of a folder import, sorted. */
function importsOf(folder: string): string[] {
  const found = new Set<string>()
  for (const file of globSync('**/*.js', { cwd: folder })) {
    const text = readFileSync(join(folder, file), 'utf8')
    for (const [, from = ''] of text.matchAll(IMPORT)) {
      if (builtIn.has(from)) continue
      found.add(from.split('/', from.startsWith('@') ? 2 : 1).join('/'))
    }
  }
  return [...found].sort()
}
