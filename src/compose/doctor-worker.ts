import { withLostBucket } from '../shared/artifacts/redis-lost-bucket.ts'
import { createRedisDoctorAnswers, createRedisOpenProbes } from '../shared/doctor/redis-doctor-desk.ts'
import { runChecks, type CheckGroup } from '../shared/doctor/run-checks.ts'
import { storageChecks } from '../shared/doctor/storage-checks.ts'
import type { PredictionPort } from '../shared/replicate/prediction-port.ts'
import { isLoopback, type Config } from '../shared/settings/config.ts'
import { createProbeWebhooks, PROBE_CHECKS, type ProbeWebhooksOptions } from '../workers/probe-webhooks.ts'
import { createProbeSender } from '../workers/send-probe.ts'
import type { Core, ServiceOptions } from './core.ts'
import { mailCheckOf } from './mail.ts'

export const PROBES_WITHIN_MS = 55_000
const SECRET_MS = 5_000

/** Whether Replicate is a program in this network, such as the simulator. The real one has a public name, and https. */
export function isLocal(baseUrl: string): boolean {
  const { protocol, hostname } = new URL(baseUrl)
  return protocol === 'http:' || isLoopback(hostname)
}

export const probeGroup = (options: ProbeWebhooksOptions): CheckGroup => ({
  names: PROBE_CHECKS,
  within: PROBES_WITHIN_MS,
  run: createProbeWebhooks(options),
})

/** The secret that Replicate signs with; the configured one when it cannot be fetched. */
export const accountSecret = (upstream: Pick<PredictionPort, 'webhookSecret'>, configured: string | null) => () =>
  upstream.webhookSecret(SECRET_MS).catch(() => configured)

/** The checks of a worker, which answers a run of the doctor with them. */
export function buildWorkerDoctor(core: Core, { config, replicate }: ServiceOptions) {
  const { redis, keys, tokens, publicUrl, accounts, generation } = core
  const answers = createRedisDoctorAnswers(redis, keys)
  const groups = [
    storageGroup(core, config),
    mailCheckOf(config, publicUrl),
    probeGroup({
      probes: createRedisOpenProbes(redis, keys),
      sender: createProbeSender(),
      tokens,
      publicUrl,
      isUpstreamLocal: isLocal(replicate.baseUrl),
      secret: accountSecret(accounts.first.upstream, config.replicate.webhookSecret),
      generation: generation.known,
    }),
  ]
  return async (run: string): Promise<void> => {
    if (await answers.begin(run)) await answers.answer(run, await runChecks(groups))
  }
}

export const storageGroup = ({ artifacts, lostBucket, reserve }: Core, config: Config): CheckGroup =>
  storageChecks({ artifacts, check: withLostBucket(artifacts.check, lostBucket), reserve, ...placesOf(config) })

export const placesOf = ({ dataDir, diskReserve, artifacts: { store, bucket } }: Config) => ({
  dataDir,
  diskReserve,
  bucket: store === 's3' && bucket !== null ? bucket.name : null,
})
