import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { SMTPServer } from 'smtp-server'
import { afterFile } from './after-file.ts'
import { waitFor } from './wait-for.ts'

/** A mail that the server got. */
export interface ReceivedMail {
  /** Envelope. */
  from: string
  to: string[]
  /** Lower-case names; values are unfolded and decoded. */
  headers: Record<string, string>
  /** Lines of the header, as they came. */
  headerLines: string[]
  text: string
  html: string
  /** Of the picture within; null: none. */
  picture: Buffer | null
}

/** What the server says to a step; null: yes. */
type Reply = { code: number; text: string } | 'hang up' | null
export interface MailRules {
  onRecipient?: (address: string) => Reply
  /** After the mail was received. `hang up`: it is kept, and the sender gets no answer. */
  onData?: (mail: ReceivedMail) => Reply
}

const refusal = ({ code, text: message }: { code: number; text: string }): Error =>
  Object.assign(new Error(message), { responseCode: code })

/** A server of SMTP on this machine, without TLS, with a user `genqueue` and the password `secret`. */
export async function startMailServer(first: MailRules = {}) {
  const received: ReceivedMail[] = []
  let rules = first
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    allowInsecureAuth: true,
    disableReverseLookup: true,
    onAuth({ username, password }, _session, done) {
      if (username === 'genqueue' && password === 'secret') done(null, { user: username })
      else done(Object.assign(new Error('wrong password'), { responseCode: 535 }))
    },
    onRcptTo({ address }, _session, done) {
      const reply = rules.onRecipient?.(address) ?? null
      done(reply === null || reply === 'hang up' ? null : refusal(reply))
    },
    onData(stream, session, done) {
      const keep = async (): Promise<void> => {
        const raw = await text(stream).catch(() => null)
        // The sender left.
        if (raw === null) return
        const { mailFrom, rcptTo } = session.envelope
        const mail = parseMail(
          raw,
          mailFrom === false ? '' : mailFrom.address,
          rcptTo.map(({ address }) => address),
        )
        const reply = rules.onData?.(mail) ?? null
        if (reply === null || reply === 'hang up') received.push(mail)
        if (reply === 'hang up') server.connections.forEach((connection) => connection.close())
        else if (reply === null) done()
        else done(refusal(reply))
      }
      void keep()
    },
  })
  server.on('error', () => undefined)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  afterFile(() => server.close())
  const { port } = server.server.address() as AddressInfo
  return {
    url: `smtp://127.0.0.1:${port}`,
    port,
    received,
    rules(next: MailRules): void {
      rules = next
    },
    to: (address: string) => received.filter(({ to }) => to.includes(address)),
    async count(address: string, least: number): Promise<ReceivedMail[]> {
      const found = (): ReceivedMail[] => received.filter(({ to }) => to.includes(address))
      await waitFor(`${least} mails to ${address}`, () => found().length >= least)
      return found()
    },
  }
}

interface Part {
  headers: Record<string, string>
  headerLines: string[]
  body: string
}

function split(raw: string): Part {
  const at = raw.indexOf('\r\n\r\n')
  const headerLines = raw
    .slice(0, at)
    .replaceAll(/\r\n[ \t]+/g, ' ')
    .split('\r\n')
  const headers = Object.fromEntries(
    headerLines.map((line) => [
      line.slice(0, line.indexOf(':')).toLowerCase(),
      decodeWords(line.slice(line.indexOf(':') + 1).trim()),
    ]),
  )
  return { headers, headerLines, body: raw.slice(at + 4) }
}

/** Encoded words of headers. */
const decodeWords = (value: string): string =>
  value
    .replaceAll(/\?=\s+=\?/g, '?==?')
    .replaceAll(/=\?utf-8\?([QB])\?([^?]*)\?=/gi, (_all, kind: string, encoded: string) =>
      kind.toUpperCase() === 'B'
        ? Buffer.from(encoded, 'base64').toString('latin1')
        : quotedPrintable(encoded.replaceAll('_', ' ')),
    )
    .replaceAll(/[\u0080-\u00ff]+/g, (bytes) => Buffer.from(bytes, 'latin1').toString('utf8'))

/** Each character of the result is a byte. */
const quotedPrintable = (encoded: string): string =>
  encoded
    .replaceAll(/=\r?\n/g, '')
    .replaceAll(/=([0-9A-F]{2})/gi, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))

function bytesOf({ headers, body }: Part): Buffer {
  const encoding = headers['content-transfer-encoding']?.toLowerCase()
  if (encoding === 'base64') return Buffer.from(body, 'base64')
  return encoding === 'quoted-printable' ? Buffer.from(quotedPrintable(body), 'latin1') : Buffer.from(body)
}

function leavesOf(part: Part): Part[] {
  const boundary = /boundary="?([^";]+)"?/.exec(part.headers['content-type'] ?? '')?.[1]
  if (boundary === undefined) return [part]
  return part.body
    .split(`--${boundary}`)
    .slice(1, -1)
    .flatMap((one) => leavesOf(split(one.replace(/^\r\n/, '').replace(/\r\n$/, ''))))
}

function parseMail(raw: string, from: string, to: string[]): ReceivedMail {
  const whole = split(raw)
  const leaves = leavesOf(whole)
  const leaf = (type: string): Part | undefined =>
    leaves.find(({ headers }) => headers['content-type']?.startsWith(type))
  const read = (type: string): string => {
    const found = leaf(type)
    return found === undefined ? '' : bytesOf(found).toString('utf8').replaceAll('\r\n', '\n')
  }
  const picture = leaf('image/')
  return {
    from,
    to,
    headers: whole.headers,
    headerLines: whole.headerLines,
    text: read('text/plain'),
    html: read('text/html'),
    picture: picture === undefined ? null : bytesOf(picture),
  }
}
