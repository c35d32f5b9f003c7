/** Nobody is named as recipient, or nobody that mail is sent to: trying again changes nothing. */
export const RECIPIENT_ERRORS = [
  'no_recipient',
  'invalid_recipient',
  'metadata_not_allowed',
  'not_confirmed',
  'unsubscribed',
] as const
export type RecipientError = (typeof RECIPIENT_ERRORS)[number]

/** Besides these: the server asks to send it later, or refuses this service. */
export type MailError = RecipientError | 'deferred' | 'server_refused'
