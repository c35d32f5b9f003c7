// `npm run release -- 0.2.0` says what a release would change; with --write it changes, commits and tags it. `-- --publish` packs
// the tagged commit and publishes it with provenance; without --write and --publish nothing changes. docs/releasing.md.
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { z } from 'zod'
import { ROOT } from './packaging/build.ts'
import { pack } from './packaging/pack.ts'
import { isLater, notesOf, released, RELEASE_FILES } from './packaging/release-files.ts'

const manifestSchema = z.object({ version: z.string(), repository: z.unknown().optional() })

const command = new Command('npm run release --')
  .description('Prepares or publishes a release. Without --write and --publish it only says what it would do.')
  .argument('[version]', 'the next version, such as 0.2.0')
  .option('--write', 'change version and changelog, commit, and tag')
  .option('--publish', 'pack the tagged commit and publish the three packages (in CI)')
  .option('--folder <folder>', 'the checkout', ROOT)
const { write, publish, folder } = command.parse().opts<{ write?: true; publish?: true; folder: string }>()
const [version] = command.args

const git = (...args: string[]): string => execFileSync('git', args, { cwd: folder, encoding: 'utf8' }).trim()
const read = (file: string): string => readFileSync(join(folder, file), 'utf8')
const manifest = manifestSchema.parse(JSON.parse(read('package.json')))

function requireClean(): void {
  if (git('status', '--porcelain') !== '') throw new Error('The working tree has changes that are not committed.')
}

function prepare(next: string): void {
  if (!isLater(next, manifest.version)) throw new Error(`${next} is no version after ${manifest.version}.`)
  const day = new Date().toISOString().slice(0, 10)
  const changes = RELEASE_FILES.map((file) => ({ file, text: released(file, read(file), next, day) }))
  console.log(`${manifest.version} -> ${next}, in ${RELEASE_FILES.join(', ')}\n`)
  console.log(`${notesOf(read('CHANGELOG.md'))}\n`)
  if (!write) return console.log(`Nothing was changed. With --write: these files, a commit, and the tag v${next}.`)
  requireClean()
  for (const { file, text } of changes) writeFileSync(join(folder, file), text)
  git('commit', '--all', '--message', `Release ${next}`)
  git('tag', '--annotate', `v${next}`, '--message', `genqueue ${next}`)
  console.log(`Committed and tagged v${next}. Push both: git push --follow-tags`)
}

async function publishTagged(): Promise<void> {
  requireClean()
  const tag = `v${manifest.version}`
  if (!git('tag', '--points-at', 'HEAD').split('\n').includes(tag))
    throw new Error(`HEAD does not have the tag ${tag}.`)
  if (process.env['CI'] !== 'true') throw new Error('Provenance is signed by CI: run --publish there, with CI=true.')
  if (manifest.repository === undefined)
    throw new Error('package.json has no "repository", which npm compares with the origin of the build.')
  for (const { file } of await pack(join(folder, 'dist')))
    execFileSync('npm', ['publish', file, '--provenance', '--access', 'public'], { stdio: 'inherit' })
}

try {
  if (publish) await publishTagged()
  else if (version === undefined) command.help({ error: true })
  else prepare(version)
} catch (error) {
  console.error(`release: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
}
