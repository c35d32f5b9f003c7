import type { Command } from 'commander'
import { isApiError, type Client, type StreamedChange } from '../client/client.ts'
import type { StreamedNotification } from '../client/types.ts'
import { messageOf } from '../shared/values/error-text.ts'
import type { Finish } from './command.ts'
import { connect, withConnection, type ConnectionOptions } from './connection.ts'
import { UsageError } from './failures.ts'
import { interruptible } from './follow.ts'
import { listed } from './option-values.ts'
import { note, printJson, printLine } from './terminal.ts'

/** `listen`: forwards the events of the tenant to a program on this machine, signed as they would be sent to it. */

interface ListenOptions extends ConnectionOptions {
  forward?: string
  events?: StreamedNotification['type'][]
  print?: boolean
}

/** As long as a receiver has for a webhook, ms. */
const ANSWER_WITHIN_MS = 15_000
/** Ids that are remembered, because a stream that resumes may repeat events. */
const REMEMBERED = 10_000

interface Answer {
  /** null: there was none. */
  status: number | null
  /** Why there was none. */
  error: string | null
  /** ms */
  duration: number
}

async function forwardTo(url: URL, { headers, body }: StreamedNotification, stop: AbortSignal): Promise<Answer> {
  const began = performance.now()
  const duration = (): number => Math.round(performance.now() - began)
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body,
      redirect: 'manual',
      signal: AbortSignal.any([stop, AbortSignal.timeout(ANSWER_WITHIN_MS)]),
    })
    await response.body?.cancel()
    return { status: response.status, error: null, duration: duration() }
  } catch (error) {
    stop.throwIfAborted()
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
    return { status: null, error: messageOf(cause) || 'no response', duration: duration() }
  }
}

const aboutOf = (body: string): string => {
  const { data = {} }: { data?: { job?: { id: string }; batch?: { id: string }; endpoint?: { id: string } } } =
    JSON.parse(body)
  return (data.job ?? data.batch ?? data.endpoint)?.id ?? ''
}

const answerText = ({ status, error, duration }: Answer): string => `${status ?? error}  ${duration} ms`

/** A key that may only listen cannot read the secret. */
async function noteSecret(client: Client): Promise<void> {
  try {
    const { key } = await client.webhookSecret()
    note(`Signed with the default secret of the tenant: ${key}`)
  } catch (error) {
    if (!isApiError(error) || error.code !== 'forbidden') throw error
    note('Signed with the default secret of the tenant, which this key may not read (GET /v1/webhook-secret).')
  }
}

async function listen({ forward, events, print = false, json = false, ...options }: ListenOptions): Promise<number> {
  const url = forward === undefined ? null : URL.parse(forward)
  if (forward !== undefined && (url === null || !/^https?:$/.test(url.protocol)))
    throw new UsageError(`--forward ${forward}: expected a URL, such as http://localhost:3000/hook`)
  const client = await connect(options)
  const seen = new Set<string>()
  const isNew = ({ headers: { 'webhook-id': id } }: StreamedNotification): boolean => {
    if (seen.has(id)) return false
    seen.add(id)
    const [oldest] = seen
    if (seen.size > REMEMBERED && oldest !== undefined) seen.delete(oldest)
    return true
  }

  return interruptible('Stopped listening.', async (signal) => {
    await noteSecret(client)
    const onState = (state: string): void => {
      if (state === 'open') note(url === null ? 'Listening.' : `Forwarding to ${url.href}`)
      if (state === 'lost') note('Connection lost, reconnecting.')
    }
    const handle = async (change: StreamedChange): Promise<void> => {
      if (change.kind === 'reset') {
        note('Events were missed while the connection was lost.')
        return
      }
      const { type, headers, body } = change
      if (type !== 'job.progress' && !isNew(change)) return
      const answer = url && (await forwardTo(url, change, signal))
      const id = headers['webhook-id']
      if (json) printJson({ id, type, ...answer, ...(print ? { body } : {}) })
      else {
        printLine([type, aboutOf(body), ...(answer ? [answerText(answer)] : [])].join('  '))
        if (print) printLine(body)
      }
    }
    for await (const change of client.listen({ events, signal, onState })) await handle(change)
    throw new Error('The stream of events has ended.')
  })
}

export function addListen(program: Command, finish: Finish): void {
  const command = program
    .command('listen')
    .summary('forwards events to a program on this machine')
    .description(
      'Forwards the events of the tenant to a program on this machine, signed with the default secret of the tenant as an own webhook is, until Ctrl-C. Nothing is stored by it. Requires a key with the scope webhooks.',
    )
    .option('--forward <url>', 'where to send them, such as http://localhost:3000/hook')
    .option(
      '--events <a,b>',
      'types of events, such as job.failed,credits.low (default: all except job.started and job.progress)',
      listed,
    )
    .option('--print', 'print each body')
  withConnection(command).action(async () => {
    finish(await listen(command.opts<ListenOptions>()))
  })
}
