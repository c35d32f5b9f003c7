import { cpSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { build, ROOT, run, type Build } from './build.ts'
import { manifestOf, serviceManifest, type Published } from './manifest.ts'

/** A tarball of npm. */
export interface Tarball {
  name: string
  version: string
  file: string
  /** Bytes of the tarball, and of what it contains. */
  size: number
  unpackedSize: number
  /** Paths inside the package, sorted. */
  files: string[]
}

/** Builds, and leaves the three tarballs in `<folder>/packages`; the service, which contains the simulator, is the last. */
export async function pack(folder: string): Promise<Tarball[]> {
  const made = await build(join(folder, 'build'))
  const stage = join(folder, 'stage')
  const packages = join(folder, 'packages')
  for (const path of [stage, packages]) rmSync(path, { recursive: true, force: true })
  mkdirSync(packages, { recursive: true })
  const simulator = stageSimulator(made, join(stage, 'simulator'))
  stageClient(made.client, join(stage, 'client'))
  stageService(made, join(stage, 'genqueue'), join(stage, 'simulator'), simulator)
  return runNpmPack(
    ['client', 'simulator', 'genqueue'].map((name) => join(stage, name)),
    packages,
  )
}

function stageService({ service }: Build, stage: string, simulatorStage: string, simulator: Published): void {
  const manifest = serviceManifest()
  begin('genqueue', stage, manifest)
  const isPart = (file: string): boolean => file.endsWith('.js') || file.endsWith('.lua')
  copy(service, join(stage, 'lib'), (file) => isPart(file) && !file.startsWith('simulator/'))
  dropMapLinks(join(stage, 'lib'))
  const studio = join(ROOT, 'dist', 'studio')
  if (!existsSync(join(studio, 'index.html'))) throw new Error('The page is not built. Run: npm run pack')
  copy(studio, join(stage, 'dist', 'studio'), (file) => !/(?:^|\/)\./.test(file))
  for (const path of manifest.files.filter((one) => /^(?:docs|presets)\b/.test(one)))
    cpSync(join(ROOT, path), join(stage, path), { recursive: true })
  writeFileSync(join(stage, 'THIRD-PARTY-NOTICES.md'), notices(studio))
  cpSync(simulatorStage, join(stage, 'node_modules', simulator.name), { recursive: true })
}

function stageSimulator({ service, simulatorCjs }: Build, stage: string): Published {
  const compiled = join(service, 'simulator')
  const manifest = manifestOf('simulator', compiled)
  begin('simulator', stage, manifest)
  const declarations = declarationsFrom(compiled, entriesOf(manifest, 'lib'))
  copy(compiled, join(stage, 'lib'), (file) => file.endsWith('.js') || declarations.has(file))
  const declarationsCjs = declarationsFrom(simulatorCjs, entriesOf(manifest, 'cjs'))
  copy(simulatorCjs, join(stage, 'cjs'), (file) => /\.js(?:on)?$/.test(file) || declarationsCjs.has(file))
  for (const folder of ['lib', 'cjs']) dropMapLinks(join(stage, folder))
  cpSync(join(ROOT, 'docs/simulator.md'), join(stage, 'docs/simulator.md'))
  return manifest
}

/** Lays out the published form of the client, from the folder in which it was built. */
export function stageClient(client: string, stage: string): void {
  const manifest = manifestOf('client', null)
  begin('client', stage, manifest)
  for (const form of ['esm', 'cjs']) {
    const declarations = declarationsFrom(join(client, form), entriesOf(manifest, form))
    copy(join(client, form), join(stage, form), (file) => !file.endsWith('.d.ts') || declarations.has(file))
  }
}

/** The declarations that a manifest exports from a folder, by their paths below it. */
const entriesOf = (manifest: Published, folder: string): string[] =>
  [...JSON.stringify(manifest['exports']).matchAll(new RegExp(`"\\./${folder}/([^"]+\\.d\\.ts)"`, 'g'))].map(
    ([, file = '']) => file,
  )

/** Puts the manifest, the README, the licence and the command into the folder of a package. */
function begin(name: string, stage: string, manifest: Published): void {
  cpSync(join(ROOT, 'packages', name), stage, { recursive: true })
  cpSync(join(ROOT, 'LICENSE'), join(stage, 'LICENSE'))
  if (existsSync(join(stage, 'bin'))) cpSync(join(ROOT, 'packages/on-node-24.mjs'), join(stage, 'bin/on-node-24.mjs'))
  const { version, ...rest } = manifest
  writeJson(join(stage, 'package.json'), { name: manifest.name, version, ...withoutEmpty(rest) })
}

const withoutEmpty = (manifest: object): object =>
  Object.fromEntries(
    Object.entries(manifest).filter(
      ([, value]: [string, unknown]) => typeof value !== 'object' || value === null || Object.keys(value).length > 0,
    ),
  )

function copy(from: string, to: string, wanted: (file: string) => boolean): void {
  for (const entry of globSync('**/*', { cwd: from, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const file = join(entry.parentPath, entry.name).slice(from.length + 1)
    if (wanted(file)) cpSync(join(from, file), join(to, file))
  }
}

/** Source maps are published for the client only; debuggers would report those of the others as missing. */
function dropMapLinks(folder: string): void {
  for (const path of globSync('**/*.js', { cwd: folder })) {
    const file = join(folder, path)
    writeFileSync(file, readFileSync(file, 'utf8').replace(/\n\/\/# sourceMappingURL=\S+\s*$/, '\n'))
  }
}

/** The declarations that users can reach from the given ones, by their paths below a folder. */
function declarationsFrom(folder: string, entries: readonly string[]): Set<string> {
  const reached = new Set(entries)
  for (const file of reached) {
    const text = readFileSync(join(folder, file), 'utf8')
    for (const [, from = ''] of text.matchAll(/(?:\bfrom |\bimport\()['"](\.{1,2}\/[^'"]+)\.js['"]/g))
      reached.add(join(dirname(file), `${from}.d.ts`))
  }
  return reached
}

/** The licences of what Studio's files contain, collected by vite. */
function notices(studio: string): string {
  const licences = readFileSync(join(studio, '.vite', 'license.md'), 'utf8')
  const listed = licences.slice(licences.indexOf('\n## ') + 1)
  if (!listed.startsWith('## ')) throw new Error('vite collected no licences of Studio.')
  return `# Third-party notices\n\nThe files in dist/studio contain parts of these packages.\n\n${listed}\n${scalarNotice()}`
}

/** vite does not see the script of the reference, which is taken as it is. */
function scalarNotice(): string {
  const name = '@scalar/fastify-api-reference'
  const folder = join(ROOT, 'node_modules', name)
  const { version, license } = scalarManifest.parse(JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')))
  const text = readFileSync(join(folder, 'LICENSE'), 'utf8')
  return `## ${name} - ${version} (${license})\n\nIts script contains further packages, with their notices.\n\n${text}`
}

const writeJson = (file: string, value: object): void => writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`)

const scalarManifest = z.object({ version: z.string(), license: z.string() })

const packedSchema = z.array(
  z.object({
    name: z.string(),
    version: z.string(),
    filename: z.string(),
    size: z.number(),
    unpackedSize: z.number(),
    files: z.array(z.object({ path: z.string() })),
  }),
)

async function runNpmPack(stages: readonly string[], to: string): Promise<Tarball[]> {
  const args = ['pack', ...stages, '--pack-destination', to, '--json', '--ignore-scripts', '--loglevel=error']
  return packedSchema.parse(JSON.parse(await run('npm', args))).map(({ filename, files, ...rest }) => ({
    ...rest,
    file: join(to, filename),
    files: files.map(({ path }) => path).sort(),
  }))
}
