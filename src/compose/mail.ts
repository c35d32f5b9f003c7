import { createLastingLinks, namedFiles } from '../shared/artifacts/rules/lasting-links.ts'
import type { CheckGroup } from '../shared/doctor/run-checks.ts'
import { mailCheck } from '../shared/doctor/mail-check.ts'
import { createComposeMail } from '../shared/mail/compose-mail.ts'
import { createConfirmations } from '../shared/mail/confirmations.ts'
import { createMailTransport } from '../shared/mail/mail-transport.ts'
import { createPictureOf } from '../shared/mail/picture.ts'
import type { Mailer } from '../shared/mail/ports.ts'
import { createRedisMailStore } from '../shared/mail/redis-mail-store.ts'
import { createMailLinks } from '../shared/mail/rules/mail-links.ts'
import { createSmtpMailer } from '../shared/mail/smtp-mailer.ts'
import type { Transport } from '../shared/notifications/transport-port.ts'
import { isLoopback, localOrigin, type Config } from '../shared/settings/config.ts'
import { effectiveLimits } from '../shared/tenants/rules/tenant.ts'
import type { Core } from './core.ts'

/** null: no mail server is set up. `timeout`: ms, for each step. */
function createMailer({ mail }: Config, timeout: number): Mailer | null {
  if (mail === null) return null
  const host = new URL(mail.url).hostname
  return createSmtpMailer({ ...mail, mustEncrypt: !isLoopback(host), timeout })
}

/** What the api needs: links and their pages, and the mail that asks for a confirmation. */
export function buildMailPages(core: Core, { mail }: Config) {
  const store = createRedisMailStore(core)
  const { endpoints, notifications, tenants, deployment, doorbells } = core
  const confirmations = createConfirmations({
    endpoints,
    notifications,
    store,
    wake: doorbells.send,
    now: tenants.now,
  })
  return {
    pages: { links: createMailLinks(deployment.linkKeys), confirmations, store, now: tenants.now },
    ofEndpoints: {
      confirmations,
      isConfigured: mail !== null,
      mayUseMetadata: async (tenant: string) => (await tenants.tenant(tenant))?.mail_to_metadata ?? false,
    },
  }
}

/** null: no mail server is set up. */
export function buildMailTransport(core: Core, config: Config): Transport | null {
  const mailer = createMailer(config, core.timings.notifyTimeout)
  if (mailer === null) return null
  const origin = (): string => core.publicUrl() ?? localOrigin(config.host, config.port)
  const lasting = createLastingLinks(core.deployment.linkKeys)
  return createMailTransport({
    mailer,
    store: createRedisMailStore(core),
    endpoints: core.endpoints,
    async rulesOf(id) {
      const tenant = await core.tenants.tenant(id)
      const { mails_per_hour } = effectiveLimits(tenant?.limits ?? NO_LIMITS, config.tenantLimits)
      return { perHour: mails_per_hour, toMetadata: tenant?.mail_to_metadata ?? false }
    },
    compose: createComposeMail({
      jobs: core.store,
      firstJobs: (batch, limit) => core.batchStore.jobs(batch, { limit }),
      pictureOf: createPictureOf(core.artifacts),
      fileUrl: (job, artifact) => origin() + lasting.path(artifact.id, '', namedFiles(job, artifact).file),
      origin,
    }),
    links: createMailLinks(core.deployment.linkKeys),
    origin,
  })
}

const NO_LIMITS = { requests_per_minute: null, queued_jobs: null }
const SMTP_MS = 10_000

export const mailCheckOf = (config: Config, publicUrl: () => string | null): CheckGroup =>
  mailCheck(createMailer(config, SMTP_MS), publicUrl)
