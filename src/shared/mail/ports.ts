import type { SendResult } from '../notifications/transport-port.ts'
import type { Mailbox } from './rules/address.ts'

/** A mail to one recipient. */
export interface Mail {
  /** The same each time that it is sent. */
  id: string
  to: string
  subject: string
  text: string
  html: string
  /** A JPEG that the HTML shows as `cid:` of this id; null: none. */
  picture: { cid: string; jpeg: Buffer } | null
  /** Where a mail program unsubscribes with one POST; null: nothing to unsubscribe from. */
  unsubscribe: string | null
}

/** Sends mails. */
export interface Mailer {
  /** Host of the mail server, with its port if it is not the usual one. */
  server: string
  from: Mailbox
  /** Rejects only when `signal` aborts; the outcome is then unknown. */
  send(mail: Mail, signal: AbortSignal): Promise<SendResult>
  /** Connects and signs in; rejects with the reason. */
  verify(): Promise<void>
}

/** Purposes with limits for each address of a tenant: requests of a confirmation mail, and attempts to send one. */
export type ConfirmationUse = 'request' | 'attempt'

/** What is kept of recipients, by tenant and address. */
export interface MailStore {
  isUnsubscribed(tenant: string, address: string): Promise<boolean>
  unsubscribe(tenant: string, address: string): Promise<void>
  subscribe(tenant: string, address: string): Promise<void>
  /** Takes one mail of the tenant's rate; returns 0, or the ms to wait when there is none. */
  take(tenant: string, perHour: number): Promise<number>
  /** The same for confirmations of an address. */
  takeConfirmation(tenant: string, address: string, use: ConfirmationUse): Promise<number>
}
