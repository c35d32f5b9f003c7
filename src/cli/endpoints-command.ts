import { Option, type Command } from 'commander'
import type { Endpoint, EndpointRequest, NewEndpoint } from '../client/types.ts'
import type { Client } from '../client/client.ts'
import { addAction, type Finish } from './command.ts'
import { connect, withConnection, type ConnectionOptions } from './connection.ts'
import { EXIT } from './failures.ts'
import { span } from './format.ts'
import { answerOf } from './notifications-command.ts'
import { listed, whole } from './option-values.ts'
import { printRecords } from './print-records.ts'
import { note, printJson, printLine } from './terminal.ts'

/** `endpoints`: where the notifications of the tenant are sent, over the API. */

interface CreateOptions extends ConnectionOptions {
  events?: EndpointRequest['events']
  presets?: string[]
  payload?: EndpointRequest['payload']
  description?: string
}

function stateOf(endpoint: Endpoint): string {
  const { state, disabled, health } = endpoint
  if (endpoint.kind === 'email' && endpoint.confirmed_at === null) return 'unconfirmed'
  if (disabled !== null) return `${state} (${disabled.reason})`
  return health.failures > 0 ? `failing (${health.failures})` : state
}

const lineOf = (endpoint: Endpoint): string => `${endpoint.id}  ${stateOf(endpoint)}`

/** The secret alone on stdout, so that a script can keep it. */
function printMade(made: NewEndpoint, json: boolean): void {
  if (json) return printJson(made)
  if (made.secret === null) {
    printLine(made.id)
    note(
      `Endpoint ${made.id}, ${made.url}. ${made.confirmed_at === null ? 'Nothing is sent before the address is confirmed: look for the mail.' : 'Mail is sent to it from now on.'}`,
    )
    return
  }
  printLine(made.secret.key)
  note(`Endpoint ${made.id}, ${made.url}. Its secret cannot be shown again.`)
}

export function addEndpoints(program: Command, finish: Finish): void {
  const endpoints = program
    .command('endpoints')
    .summary('manages where notifications are sent')
    .description('Manages the endpoints of the tenant. Requires a key with the scope webhooks.')
    .helpCommand(false)
  const action = (name: string, summary: string): Command => withConnection(addAction(endpoints, name, summary))
  const aboutOne = (
    name: string,
    summary: string,
    run: (client: Client, id: string, json: boolean) => Promise<void>,
  ) => {
    const command = action(name, summary).argument('<id>', 'ep_…')
    command.action(async (id: string) => {
      const options = command.opts<ConnectionOptions>()
      await run(await connect(options), id, options.json ?? false)
      finish(EXIT.ok)
    })
    return command
  }
  const shown = (endpoint: Endpoint, json: boolean): void => {
    if (json) printJson(endpoint)
    else printLine(lineOf(endpoint))
  }

  const list = action('list', 'lists the endpoints, oldest first')
  list.action(async () => {
    const options = list.opts<ConnectionOptions>()
    printRecords(await (await connect(options)).endpoints(), {
      json: options.json ?? false,
      columns: {
        id: ({ id }) => id,
        url: ({ url }) => url,
        state: stateOf,
        events: ({ events }) => events,
        presets: ({ presets }) => presets ?? 'all',
        description: ({ description }) => description || null,
      },
    })
    finish(EXIT.ok)
  })

  const create = action('create', 'creates an endpoint and prints its secret once, alone on stdout')
    .argument('<url>')
    .option('--events <a,b>', 'types of events (default: all except job.started and job.progress)', listed)
    .option('--presets <a,b>', 'only events of jobs of these presets', listed)
    .addOption(new Option('--payload <kind>', 'full: the whole job (default: thin)').choices(['thin', 'full']))
    .option('--description <text>', 'shown in lists')
  create.action(async (url: string) => {
    const { events, presets, payload, description, ...options } = create.opts<CreateOptions>()
    const request = { url, events, presets, payload, description }
    printMade(await (await connect(options)).createEndpoint(request), options.json ?? false)
    finish(EXIT.ok)
  })

  aboutOne('confirm', 'sends another mail that asks to confirm an address', async (client, id, json) =>
    shown(await client.confirmEndpoint(id), json),
  )

  const rotate = action('rotate', 'makes another secret and prints it once; the replaced one signs too for the grace')
    .argument('<id>', 'ep_…')
    .option('--grace <seconds>', 'how long the replaced secret signs too (default: a day)', whole('grace'))
  rotate.action(async (id: string) => {
    const { grace, ...options } = rotate.opts<ConnectionOptions & { grace?: number }>()
    printMade(await (await connect(options)).rotateEndpoint(id, grace), options.json ?? false)
    finish(EXIT.ok)
  })

  aboutOne('enable', 'sends to an endpoint again, also what was held for it', async (client, id, json) => {
    const enabled = await client.enableEndpoint(id)
    shown(enabled, json)
    if (!json && enabled.resumed > 0) note(`${enabled.resumed} held notifications are sent now.`)
  })
  const test = action('test', 'sends a test event now, once, and shows the answer').argument('<id>', 'ep_…')
  test.action(async (id: string) => {
    const options = test.opts<ConnectionOptions>()
    const { delivered, attempt, body } = await (await connect(options)).testEndpoint(id)
    if (options.json) printJson({ delivered, attempt, body })
    else {
      printLine(`${answerOf(attempt)}  ${span(attempt.duration)}  ${attempt.detail}`.trimEnd())
      if (attempt.advice !== null) printLine(attempt.advice)
    }
    finish(delivered ? EXIT.ok : EXIT.failed)
  })
  aboutOne('disable', 'holds the events of an endpoint', async (client, id, json) =>
    shown(await client.disableEndpoint(id), json),
  )
  aboutOne('delete', 'deletes an endpoint; what waits for it has failed', async (client, id, json) => {
    await client.deleteEndpoint(id)
    if (json) printJson({ id, deleted: true })
    else printLine(`${id}  deleted`)
  })
}
