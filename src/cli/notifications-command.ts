import { Option, type Command } from 'commander'
import type { DeliveryAttempt, Notification, NotificationState } from '../client/types.ts'
import { addAction, type Finish } from './command.ts'
import { connect, withConnection, type ConnectionOptions } from './connection.ts'
import { EXIT, UsageError } from './failures.ts'
import { span } from './format.ts'
import { time } from './list-command.ts'
import { whole } from './option-values.ts'
import { printRecords } from './print-records.ts'
import { note, printJson, printLine, printText } from './terminal.ts'

/** `notifications`: the log of what was sent, over the API. */

interface RangeOptions extends ConnectionOptions {
  endpoint?: string
  createdAfter?: string
  createdBefore?: string
}

interface ListOptions extends RangeOptions {
  job?: string
  state?: NotificationState
  limit: number
}

const PAGE = 100

const withRange = (command: Command): Command =>
  command
    .option('--endpoint <id>', 'only those for this endpoint')
    .option('--created-after <time>', 'only those of events of this day or time, or later', time)
    .option('--created-before <time>', 'only those of earlier events', time)

/** `404`, or the code of the error. */
export const answerOf = ({ status, error }: Pick<DeliveryAttempt, 'status' | 'error'>): string =>
  status === null ? (error ?? 'no response') : String(status)

const lastAnswer = ({ attempts }: Notification): string | null => {
  const last = attempts.at(-1)
  return last ? answerOf(last) : null
}

export function addNotifications(program: Command, finish: Finish): void {
  const notifications = program
    .command('notifications')
    .summary('shows what was sent, and sends it again')
    .description('Shows the log of notifications, and sends them again. Requires a key with the scope webhooks.')
    .helpCommand(false)
  const action = (name: string, summary: string): Command => withConnection(addAction(notifications, name, summary))

  const list = withRange(action('list', 'lists notifications, newest first'))
    .option('--job <id>', 'only those about this job')
    .addOption(new Option('--state <state>', 'in this state').choices(['pending', 'delivered', 'failed', 'held']))
    .option('--limit <n>', 'how many', whole('limit'), 20)
  list.action(async () => {
    const {
      json = false,
      limit,
      endpoint,
      job,
      state,
      createdAfter,
      createdBefore,
      ...options
    } = list.opts<ListOptions>()
    const client = await connect(options)
    const query = { endpoint, job, state, createdAfter, createdBefore, limit: Math.min(limit, PAGE) }
    const found: Notification[] = []
    if (limit > 0)
      for await (const one of client.notifications(query)) {
        found.push(one)
        if (found.length === limit) break
      }
    printRecords(found, {
      json,
      columns: {
        id: ({ id }) => id,
        type: ({ type }) => type,
        state: (one) => one.state,
        about: (one) => one.job ?? one.batch,
        to: (one) => one.endpoint ?? one.url,
        attempts: ({ attempts }) => attempts.length,
        last: lastAnswer,
        created: ({ created_at }) => created_at,
      },
    })
    finish(EXIT.ok)
  })

  const show = action('show', 'shows a notification with its attempts and its body').argument('<id>', 'ntf_…')
  show.action(async (id: string) => {
    const options = show.opts<ConnectionOptions>()
    const found = await (await connect(options)).notification(id)
    if (options.json) printJson(found)
    else {
      printLine(`${found.id}  ${found.type}  ${found.state}`)
      for (const attempt of found.attempts) {
        printLine(`${attempt.at}  ${answerOf(attempt)}  ${span(attempt.duration)}  ${attempt.detail}`.trimEnd())
        if (attempt.advice !== null) printLine(`  ${attempt.advice}`)
      }
      if (found.next_attempt_at !== null) printLine(`next attempt: ${found.next_attempt_at}`)
      printText(`${JSON.stringify(found.body, null, 2)}\n`)
    }
    finish(EXIT.ok)
  })

  const redeliver = withRange(action('redeliver', 'sends a notification again, or all that failed'))
    .argument('[id]', 'ntf_…')
    .option('--failed', 'all that failed')
  redeliver.action(async (id: string | undefined) => {
    const {
      failed = false,
      json = false,
      endpoint,
      createdAfter,
      createdBefore,
      ...options
    } = redeliver.opts<RangeOptions & { failed?: boolean }>()
    if ((id === undefined) !== failed) throw new UsageError('redeliver needs an id, or --failed')
    const client = await connect(options)
    if (id !== undefined) {
      const again = await client.redeliver(id)
      if (json) printJson(again)
      else printLine(`${again.id}  ${again.state}`)
      finish(EXIT.ok)
      return
    }
    let redelivered = 0
    for (let more = true; more;) {
      const part = await client.redeliverFailed({ endpoint, createdAfter, createdBefore })
      redelivered += part.redelivered
      more = part.more
      if (more) note(`${redelivered} so far`)
    }
    if (json) printJson({ redelivered })
    else printLine(`${redelivered} notifications are sent again`)
    finish(EXIT.ok)
  })
}
