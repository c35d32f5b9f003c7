import { spawn } from 'node:child_process'
import { cpSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Compiles the sources with tsc, each file to one: docs/adr/0012-packages.md says why there is no bundler. */

export const ROOT = join(import.meta.dirname, '../..')

/** What is built, by the folder in which it lies. */
export interface Build {
  /** Service, command line and simulator, for Node 24: ES modules, declarations and source maps. */
  service: string
  /** The simulator's part for Jest: CommonJS. */
  simulatorCjs: string
  /** The client for ES2020: `esm` and `cjs`. */
  client: string
}

/** Builds into a folder, of which earlier contents are removed. Throws when a source has an error. */
export async function build(folder: string): Promise<Build> {
  const made = {
    service: join(folder, 'service'),
    client: join(folder, 'client'),
    simulatorCjs: join(folder, 'simulator-cjs'),
  }
  rmSync(folder, { recursive: true, force: true })
  await Promise.all([compile('service', made.service), buildClient(made.client), buildSimulatorCjs(made.simulatorCjs)])
  for (const file of globSync('**/*.lua', { cwd: join(ROOT, 'src') }))
    cpSync(join(ROOT, 'src', file), join(made.service, file))
  nameCompiledFiles(made.service)
  return made
}

async function buildSimulatorCjs(folder: string): Promise<void> {
  await compile('simulator-cjs', folder)
  markCommonJs(folder)
  nameCompiledFiles(folder)
}

const markCommonJs = (folder: string): void => writeFileSync(join(folder, 'package.json'), '{ "type": "commonjs" }\n')

/** The client alone. */
export async function buildClient(folder: string): Promise<void> {
  await Promise.all([compile('client', join(folder, 'esm')), compile('client-cjs', join(folder, 'cjs'))])
  markCommonJs(join(folder, 'cjs'))
  nameCompiledFiles(folder)
}

async function compile(project: string, outDir: string): Promise<void> {
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')
  const args = [tsc, '-p', join('packages', `tsconfig.${project}.json`), '--outDir', outDir, '--checkers', '1']
  await run(process.execPath, args).catch((error: unknown) => {
    throw new Error(`The ${project} could not be compiled.`, { cause: error })
  })
}

/** Runs a program to its end and returns its standard output; its errors are shown. Throws when it fails. */
export async function run(file: string, args: readonly string[]): Promise<string> {
  const shell = process.platform === 'win32'
  const child = spawn(file, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'], shell })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  if (code !== 0) throw new Error(`${file} ${args.join(' ')} failed:\n${output}`)
  return output
}

/** tsc leaves `./name.ts` in declarations, which older compilers do not find. */
function nameCompiledFiles(folder: string): void {
  for (const path of globSync('**/*.d.ts', { cwd: folder })) {
    const file = join(folder, path)
    const text = readFileSync(file, 'utf8')
    const named = text.replaceAll(/(\bfrom |\bimport\()(['"])(\.{1,2}\/[^'"]+)\.ts\2/g, '$1$2$3.js$2')
    if (named !== text) writeFileSync(file, named)
  }
}
