import {
  FIRST_ATTEMPT_WITHIN,
  type NotificationFigures,
  type NotificationStore,
} from '../../src/shared/notifications/ports.ts'

const none = Object.fromEntries(FIRST_ATTEMPT_WITHIN.map((within) => [within, 0]))

/** Where nobody is notified of anything. */
export const noNotifications: Pick<NotificationStore, 'isDue' | 'expire' | 'figures'> = {
  isDue: () => Promise.resolve(false),
  expire: () => Promise.resolve(0),
  figures: () =>
    Promise.resolve({
      pending: 0,
      oldestPending: null,
      held: 0,
      disabled: 0,
      late: 0,
      sent: { delivered: 0, failed: 0, retried: 0 },
      firstAttempts: none as NotificationFigures['firstAttempts'],
      lossy: { sent: 0, failed: 0 },
    }),
}
