import { spawnProcess } from '../support/spawn-process.ts'

/** Where npm finds packages is the user's affair: the registry, the cache, and the way there. */
const SETTINGS =
  /^(?:npm_config_(?:registry|cache|userconfig|globalconfig|cafile|.*proxy)|https?_proxy|no_proxy)$|^NODE_EXTRA_CA_CERTS$/i

/** The user's settings of npm, as variables. */
export const npmSettings = (): Record<string, string> =>
  Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      SETTINGS.test(name) && value !== undefined ? [[name, value]] : [],
    ),
  )

/** Runs npm to its end, with what it has cached where it can; throws with its output when it fails. */
export async function npm(args: readonly string[], options: { cwd: string }): Promise<void> {
  const quiet = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error']
  const ran = spawnProcess('npm', [...args, ...quiet], { ...options, env: npmSettings() })
  const { code } = await ran.exited
  if (code !== 0) throw new Error(`npm ${args.join(' ')} failed:\n${ran.stdout}${ran.stderr}`)
}
