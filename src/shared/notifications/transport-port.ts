import type { SigningSecrets } from '../tenants/rules/signing-secret.ts'
import type { EndpointKind } from './rules/endpoint.ts'
import type { EventType, NotificationType } from './rules/event-types.ts'
import type { MailError } from './rules/mail-errors.ts'
import type { Notification } from './rules/notification.ts'

/** One attempt to bring a notification to its receiver. */
export interface Message {
  notification: Omit<Notification, 'type'> & { type: EventType | NotificationType }
  /** A URL, or an address of mail as the endpoint has it. */
  to: string
  /** The exact text to sign and send, JSON. */
  body: string
  /** null: it is not signed. */
  secrets: SigningSecrets | null
  /** The time of the attempt, ms. */
  at: number
}

export interface SendResult {
  /** The HTTP status of the response, or the code of the reply of SMTP; null: there was none. */
  status: number | null
  /** Why it was not accepted, as a stable code; null: it was, or the status says it. */
  error: SendError | null
  /** The first kilobyte of the response, or the message of the error; printable text. */
  detail: string
  /** The wait that the receiver asks for, ms; null: none. */
  retryAfter: number | null
  /** false: a failure that says nothing about the other notifications of the destination. Default: it does. */
  ofDestination?: boolean
}

/** Nothing was tried: the notification is due again after this time, ms. */
export interface Postponed {
  postponed: number
}

export type SendError =
  | 'timeout'
  | 'dns'
  | 'tls'
  | 'refused'
  | 'reset'
  | 'unreachable'
  | 'bad_response'
  | 'redirect'
  | 'forbidden_address'
  | 'refused_for_good'
  | 'no_content'
  | 'failed'
  | MailError

/** Sends to the receivers of one kind. Rejects only when `signal` aborts; the outcome is then unknown. */
export interface Transport<Result extends SendResult | Postponed = SendResult | Postponed> {
  kind: EndpointKind
  send(message: Message, signal: AbortSignal): Promise<Result>
}
