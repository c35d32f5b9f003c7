import { readEnvironment } from '../shared/settings/environment.ts'
import { readRunningService } from '../shared/process/running-service.ts'
import { LOGIN_CODE_S, loginLink } from '../shared/tenants/login-codes.ts'
import { localOrigin } from '../shared/settings/config.ts'
import { describeOperator, type DefineCommand } from './command.ts'
import { EXIT, RefusedError, UsageError } from './failures.ts'
import { runOperatorCommand } from './run-operator-command.ts'
import { note, printJson, printLine } from './terminal.ts'

interface Given {
  url?: string
  json?: boolean
}

async function login(given: Given): Promise<number> {
  const named = given.url ?? (readEnvironment()['GENQUEUE_URL'] || null)
  if (named !== null && !(URL.canParse(named) && /^https?:$/.test(new URL(named).protocol)))
    throw new UsageError(`${named} is not an http(s) URL`)
  return runOperatorCommand(async ({ makeLoginCode }, config) => {
    const running = await readRunningService(config.dataDir)
    if (running !== null && !running.signInLinks)
      throw new RefusedError(
        'no_development_key',
        'The service has no development key. Sign in with a key: npx genqueue keys create default --scopes jobs:read,jobs:write,credits:read,webhooks,admin',
      )
    const origin = named ?? running?.url ?? localOrigin(config.host, config.port)
    const link = loginLink(origin, await makeLoginCode())
    if (given.json) printJson({ url: link, expires_in: LOGIN_CODE_S })
    else {
      printLine(link)
      note(`Open it in a browser. It works once, for ${LOGIN_CODE_S / 60} minutes.`)
    }
    return EXIT.ok
  })
}

export const loginCommand: DefineCommand = (command, finish) => {
  describeOperator(
    command,
    'Prints a link that signs one browser in to Studio with the rights of the development key. It works once, for ten minutes.',
    '0 done, 2 invalid command, 3 Redis cannot be reached, 4 the service has no development key.',
  )
    .option(
      '--url <url>',
      'origin at which the browser reaches the service (default: GENQUEUE_URL, else the origin of the process that runs on DATA_DIR, else the configured HOST and PORT)',
    )
    .option('--json', 'print {"url", "expires_in"}')
    .action(async (given: Given) => finish(await login(given)))
}
