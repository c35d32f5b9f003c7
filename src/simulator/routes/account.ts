import { json } from '../http/reply.ts'
import type { Handler } from '../http/router.ts'
import type { Services } from './services.ts'

/** Every token belongs to the same account. */
export const USERNAME = 'acme'

export const getAccount: Handler = () =>
  json(200, {
    type: 'organization',
    username: USERNAME,
    name: 'Acme Corp, Inc.',
    github_url: 'https://github.com/acme',
  })

export const listHardware: Handler = () =>
  json(200, [
    { name: 'CPU', sku: 'cpu' },
    { name: 'Nvidia T4 GPU', sku: 'gpu-t4' },
    { name: 'Nvidia H100 GPU', sku: 'gpu-h100' },
  ])

export function getWebhookSecret({ book }: Services): Handler {
  return () => json(200, { key: book.identity.webhookSecret })
}
