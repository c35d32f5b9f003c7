import type { Mailer } from '../mail/ports.ts'
import { messageOf } from '../values/error-text.ts'
import { failed, ok, skipped, warning } from './rules/check.ts'
import { single, type CheckGroup } from './run-checks.ts'

/** Connects to the mail server and signs in, without sending anything. `mailer` null: none is set up. */
export const mailCheck = (
  mailer: Pick<Mailer, 'from' | 'server' | 'verify'> | null,
  publicUrl: () => string | null,
): CheckGroup =>
  single('mail', async () => {
    if (mailer === null) return skipped('SMTP_URL is not set, so no mail is sent.')
    const { server, from } = mailer
    const details = { server, from: from.address }
    try {
      await mailer.verify()
    } catch (error) {
      return failed(
        `The mail server ${server} does not take mail from this service: ${messageOf(error).replace(/\.$/, '')}.`,
        'Correct SMTP_URL: its host, port (587 with smtp://, 465 with smtps://), user and password.',
        details,
      )
    }
    if (publicUrl() === null)
      return warning(
        `The mail server ${server} accepts this service, but links in mails lead to this machine only.`,
        'Set PUBLIC_URL.',
        details,
      )
    return ok(`The mail server ${server} accepts this service.`, details)
  })
