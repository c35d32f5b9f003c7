import { parseArgs } from 'node:util'
import { readEnvironment } from '../shared/settings/environment.ts'
import { readRunningService } from '../shared/process/running-service.ts'
import { LOGIN_CODE_S, loginLink } from '../shared/tenants/login-codes.ts'
import { localOrigin } from '../shared/settings/config.ts'
import type { Command } from './command.ts'
import { RefusedError, UsageError } from './failures.ts'
import { runOperatorCommand } from './run-operator-command.ts'
import { note, printJson, printLine } from './terminal.ts'

const HELP = `Usage: genqueue login [options]

Prints a link that signs one browser in to Studio with the rights of the development key. It works once, for ten minutes.

  --url <url>   origin at which the browser reaches the service (default: GENQUEUE_URL, else the origin of the process that
                runs on DATA_DIR, else the configured HOST and PORT)
  --json        prints {"url", "expires_in"}

Works directly on Redis: the one that runs on DATA_DIR, or REDIS_URL.

Exit codes: 0 done, 2 invalid command, 3 Redis cannot be reached, 4 the service has no development key.
`

export const loginCommand: Command = {
  help: HELP,
  async run(args) {
    const { values } = parseArgs({
      args,
      strict: true,
      options: { url: { type: 'string' }, json: { type: 'boolean', default: false } },
    })
    const named = values.url ?? (readEnvironment()['GENQUEUE_URL'] || null)
    if (named !== null && !(URL.canParse(named) && /^https?:$/.test(new URL(named).protocol)))
      throw new UsageError(`${named} is not an http(s) URL`)
    return runOperatorCommand(async ({ makeLoginCode }, config) => {
      const running = await readRunningService(config.dataDir)
      if (running !== null && !running.signInLinks)
        throw new RefusedError(
          'no_development_key',
          'The service has no development key. Sign in with a key: npx genqueue keys create default --scopes jobs:read,jobs:write,credits:read,admin',
        )
      const origin = named ?? running?.url ?? localOrigin(config.host, config.port)
      const link = loginLink(origin, await makeLoginCode())
      if (values.json) printJson({ url: link, expires_in: LOGIN_CODE_S })
      else {
        printLine(link)
        note(`Open it in a browser. It works once, for ${LOGIN_CODE_S / 60} minutes.`)
      }
      return 0
    })
  },
}
