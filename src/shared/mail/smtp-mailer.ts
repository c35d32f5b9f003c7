import type { SMTPTransportOptions, Transporter, SMTPSentMessageInfo } from 'nodemailer'
import { errorCodeOf, printable } from '../notifications/rules/response-text.ts'
import type { SendError, SendResult } from '../notifications/transport-port.ts'
import { messageOf } from '../values/error-text.ts'
import { unlessAborted } from '../values/unless-aborted.ts'
import type { Mailer } from './ports.ts'
import type { Mailbox } from './rules/address.ts'

export interface SmtpOptions {
  /** `smtp://` or `smtps://`, with credentials where the server wants them. */
  url: string
  from: Mailbox
  /** Whether credentials are sent over TLS only. */
  mustEncrypt: boolean
  /** For each step: connecting, the greeting, each reply; ms. */
  timeout: number
}

/** Steps whose time a whole mail may take, so that its lease does not end meanwhile. */
const STEPS = 3
const PORTS: Record<string, number> = { 'smtp:': 587, 'smtps:': 465 }

/**
 * Sends mails by a server of SMTP, with one connection for each, so that nothing is left of a mail that failed.
 */
export function createSmtpMailer({ url, from, mustEncrypt, timeout }: SmtpOptions): Mailer {
  const { protocol, host: server, hostname, port, username, password } = new URL(url)
  const host = hostname.replace(/^\[|\]$/g, '')
  const options: SMTPTransportOptions = {
    host,
    port: port === '' ? PORTS[protocol] : Number(port),
    secure: protocol === 'smtps:',
    ...(username === ''
      ? {}
      : {
          auth: { user: decodeURIComponent(username), pass: decodeURIComponent(password) },
          requireTLS: mustEncrypt,
        }),
    connectionTimeout: timeout,
    greetingTimeout: timeout,
    dnsTimeout: timeout,
    socketTimeout: timeout,
    disableFileAccess: true,
    disableUrlAccess: true,
  }
  let made: Promise<Transporter<SMTPSentMessageInfo>> | undefined
  /** Loaded with the first mail. */
  const transporter = (): Promise<Transporter<SMTPSentMessageInfo>> =>
    (made ??= import('nodemailer').then(({ createTransport }) => createTransport(options)))
  const domain = from.address.slice(from.address.lastIndexOf('@') + 1)

  return {
    server,
    from,
    async send({ id, to, subject, text, html, picture, unsubscribe }, signal) {
      const smtp = await transporter()
      const deadline = AbortSignal.timeout(STEPS * timeout)
      const sending = smtp.sendMail({
        from: { name: from.name, address: from.address },
        to: { name: '', address: to },
        envelope: { from: from.address, to: [to] },
        messageId: `<${id}@${domain}>`,
        subject,
        text,
        html,
        ...(picture === null
          ? {}
          : {
              attachments: [
                {
                  filename: 'picture.jpg',
                  content: picture.jpeg,
                  contentType: 'image/jpeg',
                  contentDisposition: 'inline' as const,
                  cid: picture.cid,
                },
              ],
            }),
        headers: {
          'Auto-Submitted': 'auto-generated',
          ...(unsubscribe === null
            ? {}
            : { 'List-Unsubscribe': `<${unsubscribe}>`, 'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click' }),
        },
      })
      try {
        // A mail that is being sent cannot be taken back: its outcome is not awaited.
        const { response } = await unlessAborted(sending, AbortSignal.any([signal, deadline]))
        return accepted(response)
      } catch (error) {
        signal.throwIfAborted()
        return deadline.aborted ? { ...resultOf(error), error: 'timeout' } : resultOf(error)
      }
    },

    async verify() {
      await (await transporter()).verify()
    },
  }
}

function accepted(response: string): SendResult {
  const code = Number(/^\d{3}/.exec(response)?.[0])
  return { status: code >= 200 && code < 300 ? code : 250, error: null, detail: printable(response), retryAfter: null }
}

/** Steps of a mail to which a permanent refusal concerns the recipient or the mail, and not this service. */
const OF_THE_MAIL = new Set(['RCPT TO', 'DATA'])

/** What a failure means. Exported for its test. */
export function resultOf(error: unknown): SendResult {
  const fields = fieldsOf(error)
  const status = typeof fields['responseCode'] === 'number' ? fields['responseCode'] : null
  const detail = printable(typeof fields['response'] === 'string' ? fields['response'] : messageOf(error))
  const command = String(fields['command'])
  const isOfMail = status !== null && OF_THE_MAIL.has(command)
  const code: SendError =
    status === null
      ? connectionError(error, String(fields['code']))
      : status < 500
        ? 'deferred'
        : isOfMail
          ? 'refused_for_good'
          : 'server_refused'
  return { status, error: code, detail, retryAfter: null, ofDestination: isOfMail }
}

const fieldsOf = (error: unknown): Record<string, unknown> =>
  typeof error === 'object' && error !== null ? { ...error } : {}

const OF_CODE: Record<string, SendError> = {
  ETIMEDOUT: 'timeout',
  EDNS: 'dns',
  ETLS: 'tls',
  EAUTH: 'server_refused',
  ECONNECTION: 'reset',
}

function connectionError(error: unknown, code: string): SendError {
  const known = errorCodeOf(error)
  return known === 'failed' ? (OF_CODE[code] ?? 'failed') : known
}
