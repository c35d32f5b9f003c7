import { execFile } from 'node:child_process'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

import { type Browser, chromium } from 'playwright-core'
import { afterFile } from './after-file.ts'
import { PATIENCE_MS } from './wait-for.ts'

const run = promisify(execFile)

/** For root, for machines without a graphics card, and so that no browser calls home from a closed network. */
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

const INSTALLED = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/usr/bin/google-chrome-stable',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
]

interface Candidate {
  file: string
  env?: Record<string, string>
}

/** A headless browser: one that is on this machine, else the one from npm. Closed when the test file has ended. */
export async function launchBrowser(options: { from?: 'machine' | 'npm' } = {}): Promise<Browser> {
  const failures: string[] = []
  const attempt = async ({ file, env }: Candidate) => {
    try {
      const browser = await chromium.launch({
        executablePath: file,
        args: ARGS,
        timeout: PATIENCE_MS,
        env: { PATH: process.env['PATH'] ?? '', HOME: homedir(), ...env },
      })
      afterFile(() => browser.close())
      return browser
    } catch (error) {
      failures.push(`${file}: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`)
      return undefined
    }
  }

  if (options.from !== 'npm') {
    for (const file of onThisMachine()) {
      const browser = await attempt({ file })
      if (browser) return browser
    }
  }
  if (options.from !== 'machine' && process.platform === 'linux' && process.arch === 'x64') {
    const browser = await attempt(await fromNpm())
    if (browser) return browser
  }
  throw new Error(`No browser could be started: install Chromium or Chrome.\n${failures.join('\n')}`)
}

export function onThisMachine(): string[] {
  return [...INSTALLED, ...fromPlaywright()].filter((file) => existsSync(file))
}

/** Any revision that "playwright install" left here. */
function fromPlaywright(): string[] {
  const caches = [join(homedir(), '.cache', 'ms-playwright'), join(homedir(), 'Library', 'Caches', 'ms-playwright')]
  const programs = [
    'chrome',
    'headless_shell',
    'chrome-headless-shell',
    join('Chromium.app', 'Contents', 'MacOS', 'Chromium'),
  ]
  return caches
    .flatMap((cache) => subfolders(cache).filter((folder) => /chromium/.test(folder)))
    .flatMap((revision) => subfolders(revision))
    .flatMap((platform) => programs.map((program) => join(platform, program)))
}

function subfolders(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : []
}

/**
 * `@sparticuz/chromium` brings the browser, its libraries and fonts, packed. It unpacks into the folder for temporary
 * files and cannot bear two at once, so that is done in a process whose temporary folder is ours, and moved into place.
 */
async function fromNpm(): Promise<Candidate> {
  const entry = createRequire(import.meta.url).resolve('@sparticuz/chromium')
  const manifest = readFileSync(join(dirname(entry), '..', 'package.json'), 'utf8')
  const version = /"version": "([^"]+)"/.exec(manifest)?.[1] ?? 'unknown'
  const caches = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'genqueue')
  const home = join(caches, `chromium-${version}-${process.arch}`)

  if (!existsSync(home)) {
    await mkdir(caches, { recursive: true })
    const work = await mkdtemp(join(caches, 'unpacking-'))
    try {
      const script = `import(${JSON.stringify(entry)}).then((module) => module.default.executablePath())`
      await run(process.execPath, ['--eval', script], {
        // Only for that environment does it unpack the libraries as well.
        env: { TMPDIR: work, HOME: work, AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x' },
      })
      await rename(work, home)
    } catch (error) {
      // Somebody else may have been first.
      if (!existsSync(home)) throw error
    } finally {
      await rm(work, { recursive: true, force: true })
    }
  }
  return {
    file: join(home, 'chromium'),
    env: { LD_LIBRARY_PATH: join(home, 'al2023', 'lib'), FONTCONFIG_FILE: await fontsOf(home) },
  }
}

/**
 * The settings that the package brings look for fonts in places of a cloud function. Without any font the browser ends at
 * the first character that the page's own font lacks.
 */
async function fontsOf(home: string): Promise<string> {
  const file = join(home, 'fonts.conf')
  const folders = [join(home, 'fonts'), '/usr/share/fonts', '/usr/local/share/fonts']
  const settings = `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
${folders.map((folder) => `  <dir>${folder}</dir>`).join('\n')}
  <cachedir>${join(home, 'fonts-cache')}</cachedir>
</fontconfig>
`
  if (!existsSync(file)) {
    // Several test files may do it at once.
    const part = `${file}.${process.pid}`
    await writeFile(part, settings)
    await rename(part, file)
  }
  return file
}
