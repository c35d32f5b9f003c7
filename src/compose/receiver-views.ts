import { createFrontLinks } from '../api/front/front-links.ts'
import { createPredictionView } from '../api/front/prediction.ts'
import { createJobView } from '../api/job-view.ts'
import { createLongOutput } from '../api/output/long-output.ts'
import { createArtifactLinks } from '../shared/artifacts/rules/artifact-links.ts'
import { createLastingLinks } from '../shared/artifacts/rules/lasting-links.ts'
import { jsonObject, type JobRecord } from '../shared/jobs/rules/job.ts'
import { localOrigin } from '../shared/settings/config.ts'
import type { JsonObject } from '../shared/values/json.ts'
import type { Core, ServiceOptions } from './core.ts'

/** Exactly as a response of the API has it. */
export const asJson = (value: object): JsonObject => jsonObject.parse(JSON.parse(JSON.stringify(value)))

/** Jobs as receivers see them: as the API shows them, with lasting links that name the address of this service. */
export function buildReceiverViews(
  { store, artifacts, deployment, publicUrl, timings }: Core,
  { config }: ServiceOptions,
) {
  const origin = (): string => publicUrl() ?? localOrigin(config.host, config.port)
  const lasting = createLastingLinks(deployment.linkKeys)
  const jobView = createJobView({
    links: createArtifactLinks(deployment.keys),
    lasting: { ...lasting, path: (...file) => origin() + lasting.path(...file) },
    stopBound: timings.stopBound,
    keep: config.keep,
  })
  const predictionView = createPredictionView({
    lasting,
    links: createFrontLinks(deployment.keys),
    keep: config.keep,
  })
  const longOutputOf = createLongOutput(artifacts)
  return {
    async jobView(job: JobRecord): Promise<JsonObject> {
      return { ...asJson(jobView(await store.whole(job), null, 'lasting')), rev: job.rev }
    },
    async predictionView(job: JobRecord): Promise<JsonObject> {
      const [whole, logs, longOutput] = await Promise.all([store.whole(job), store.logsOf(job.id), longOutputOf(job)])
      return asJson(predictionView(whole, { origin: origin(), logs: logs ?? '', longOutput }))
    },
    /** Without what is gone together with the record. */
    lastPrediction: (job: JobRecord): JsonObject =>
      asJson(predictionView({ ...job, input: null, output: null, artifacts: [] }, { origin: origin(), logs: '' })),
  }
}
