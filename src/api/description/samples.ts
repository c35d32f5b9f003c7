import { z } from 'zod'
import type { Operation } from './operations/operation.ts'

/**
 * Samples of the operations, for readers of the reference: curl for all, and the clients where they have a method. A test runs
 * them.
 */

export interface Sample {
  lang: 'Shell' | 'TypeScript' | 'Python'
  label: string
  source: string
}

/** The page of the reference replaces it by its own address. */
const ADDRESS = 'http://127.0.0.1:3000'

/** Has no use outside of Replicate, which signs its requests. */
const WITHOUT = 'receiveWebhook'

export function samplesOf(id: string, operation: Operation): Sample[] {
  if (id === WITHOUT) return []
  const { typescript, python } = CLIENT_SAMPLES[id] ?? {}
  return [
    { lang: 'Shell', label: 'curl', source: curl(id, operation) },
    ...(typescript === undefined
      ? []
      : [{ lang: 'TypeScript' as const, label: 'TypeScript', source: inTypeScript(typescript) }]),
    ...(python === undefined ? [] : [{ lang: 'Python' as const, label: 'Python', source: inPython(python) }]),
  ]
}

// --- curl

/** Parameters that a first request is likely to have. */
const QUERIES: Record<string, string> = {
  getJob: '?wait=30',
  listJobs: '?status=succeeded&limit=5',
  getSpending: '?by=preset',
  resumeCreation: '?scope=deployment:acme/upscaler',
}

const FILE = ' \\\n  -L -o picture.webp'
/** Options that the operation itself does not say. */
const OPTIONS: Record<string, string> = {
  getArtifact: FILE,
  getThumbnail: FILE,
  getUpload: ' \\\n  -L -o photo.png',
  upload: ' \\\n  -F file=@photo.png',
  watchJob: ' -N',
  watchJobs: ' -N',
  streamNotifications: ' -N',
  followBatch: ' -N',
  sendMcpMessage: " \\\n  -H 'Accept: application/json, text/event-stream'",
  // As a page of the service does; others are refused.
  signIn: ` \\\n  -H 'Origin: ${ADDRESS}' \\\n  -c cookies.txt`,
  signOut: ` \\\n  -H 'Origin: ${ADDRESS}' \\\n  -b cookies.txt`,
}

function curl(id: string, { method, path, access, params, body }: Operation): string {
  const target = path.replaceAll(/\{(\w+)\}/g, (_braces, name: string) => exampleOf(name, params?.shape[name]))
  const content = body?.example === undefined ? null : JSON.stringify(body.example, null, 2)
  const needsMethod =
    method === 'delete' || method === 'patch' || (method === 'post' && content === null && body?.media === undefined)
  return [
    `curl '${ADDRESS}${target}${QUERIES[id] ?? ''}'`,
    needsMethod ? ` -X ${method.toUpperCase()}` : '',
    access === 'open' ? '' : ' \\\n  -H "Authorization: Bearer $KEY"',
    OPTIONS[id] ?? '',
    content === null
      ? ''
      : ` \\\n  -H 'Content-Type: application/json' \\\n  -d '${content.replaceAll("'", String.raw`'\''`)}'`,
  ].join('')
}

const exampled = z.object({ examples: z.array(z.string()).min(1) })

function exampleOf(name: string, schema: unknown): string {
  const found = exampled.safeParse(schema instanceof z.ZodType ? schema.meta() : undefined)
  const [example] = found.data?.examples ?? []
  if (example === undefined) throw new Error(`The parameter ${name} has no example: add it to its meta.`)
  return example
}

// --- the clients

const inTypeScript = (lines: string): string => {
  const local = lines.includes('localFile(') ? "import { localFile } from '@genqueue/client/node'\n" : ''
  return `import { createClient } from '@genqueue/client'
${local}
const genqueue = createClient({ baseUrl: '${ADDRESS}', key: process.env.KEY })

${lines.trim()}`
}

const inPython = (lines: string): string => {
  const path = lines.includes('Path(') ? 'from pathlib import Path\n' : ''
  return `import os
${path}
from genqueue import Client

genqueue = Client("${ADDRESS}", os.environ["KEY"])

${lines.trim()}`
}

const JOB = 'job_01KGX5Q8Z2V7M4N6P9R3S5T8W1'
const BATCH = 'bat_01KGX5QA3M8K2T6W9X4Y7Z1C5D'

/** The lines that differ, by operation. */
export const CLIENT_SAMPLES: Record<string, { typescript?: string; python?: string }> = {
  submitJob: {
    typescript: `
const job = await genqueue.run({
  preset: 'story-page',
  input: { prompt: 'a lighthouse at night', aspect_ratio: '16:9' },
  metadata: { page: 7 },
  user: '42',
})
for (const { url, media_type } of job.artifacts) console.log(url, media_type)

// Or without waiting:
const { id } = await genqueue.submit({ preset: 'story-page', input: { prompt: 'a lighthouse by day' } })
console.log(id)`,
    python: `
job = genqueue.run(
    preset="story-page",
    input={"prompt": "a lighthouse at night", "aspect_ratio": "16:9"},
    metadata={"page": 7},
    user="42",
)
for artifact in job["artifacts"]:
    print(artifact["url"], artifact["media_type"])

# Or without waiting:
job = genqueue.submit(preset="story-page", input={"prompt": "a lighthouse by day"})
print(job["id"])`,
  },
  listJobs: {
    typescript: `
const { data } = await genqueue.list({ status: 'succeeded', limit: 5 })
console.log(data.map(({ id }) => id))

// All pages:
for await (const job of genqueue.list({ user: '42' })) console.log(job.id, job.status)`,
    python: `
for job in genqueue.list_jobs(status="succeeded", limit=5):
    print(job["id"], job["artifacts"])`,
  },
  getJob: {
    typescript: `
const job = await genqueue.get('${JOB}')
console.log(job.status)

// Once it is final:
const done = await genqueue.wait('${JOB}')
console.log(done.status, done.output)`,
    python: `
job = genqueue.get("${JOB}")
print(job["status"])

# Once it is final:
done = genqueue.wait("${JOB}")
print(done["status"], done["output"])`,
  },
  deleteJob: {
    typescript: `await genqueue.delete('${JOB}')`,
    python: `genqueue.delete("${JOB}")`,
  },
  getJobManifest: {
    typescript: `
const { version, seed, artifacts } = await genqueue.manifest('${JOB}')
console.log(version, seed, artifacts.map(({ sha256 }) => sha256))`,
  },
  cancelJob: {
    typescript: `
const job = await genqueue.cancel('${JOB}')
console.log(job.phase)`,
    python: `
job = genqueue.cancel("${JOB}")
print(job["phase"])`,
  },
  retryJob: {
    typescript: `
const job = await genqueue.retry('${JOB}', { pinned: true })
console.log(job.id, job.retry_of)`,
    python: `
job = genqueue.retry("${JOB}", pinned=True)
print(job["id"], job["retry_of"])`,
  },
  watchJob: {
    typescript: `
for await (const job of genqueue.stream('${JOB}')) console.log(job.status, job.progress)`,
    python: `
for job in genqueue.events("${JOB}"):
    print(job["status"], job["progress"])`,
  },
  readLogs: {
    typescript: `
const { logs } = await genqueue.logs('${JOB}')
console.log(logs)`,
    python: `print(genqueue.logs("${JOB}")["logs"])`,
  },
  issueJobToken: {
    typescript: `
// In the browser: createClient({ baseUrl, key: token })
const { token } = await genqueue.jobToken('${JOB}', 3600)
console.log(token)`,
    python: `
token = genqueue.job_token("${JOB}", expires_in=3600)
print(token["token"])`,
  },
  watchJobs: {
    typescript: `
for await (const change of genqueue.changes({ since: null })) {
  if (change.type === 'job') console.log(change.job.id, change.job.status, change.cursor)
  else console.log('Changes were missed: read the list again.')
}`,
    python: `
for cursor, job in genqueue.changes():
    if job is not None:
        print(job["id"], job["status"], cursor)
    else:
        print("Changes were missed: read the list again.")`,
  },
  getArtifact: {
    typescript: `
const job = await genqueue.get('${JOB}')
for (const artifact of job.artifacts) {
  const bytes = await genqueue.download(artifact)
  console.log(artifact.name, bytes.length)
}`,
    python: `
job = genqueue.get("${JOB}")
for artifact in job["artifacts"]:
    genqueue.download(artifact, artifact["name"])`,
  },
  upload: {
    typescript: `
const photo = await genqueue.upload(localFile('photo.png'))
console.log(photo.url)

// Files in an input are uploaded by themselves:
const job = await genqueue.submit({
  model: 'flux-kontext-apps/restore-image',
  input: { input_image: localFile('photo.png') },
})
console.log(job.id)`,
    python: `
photo = genqueue.upload(Path("photo.png"))
print(photo["url"])

# Files in an input are uploaded by themselves:
job = genqueue.submit(
    model="flux-kontext-apps/restore-image",
    input={"input_image": Path("photo.png")},
)
print(job["id"])`,
  },
  submitBatch: {
    typescript: `
const batch = await genqueue.batch({
  defaults: { preset: 'story-page', input: { aspect_ratio: '16:9' } },
  items: [{ input: { prompt: 'a lighthouse at night' } }, { input: { prompt: 'the same by day' } }],
})
const { counts } = await genqueue.waitBatch(batch.id)
console.log(\`\${counts.succeeded} of \${counts.total}\`)`,
    python: `
batch = genqueue.batch(
    defaults={"preset": "story-page", "input": {"aspect_ratio": "16:9"}},
    items=[{"input": {"prompt": "a lighthouse at night"}}, {"input": {"prompt": "the same by day"}}],
)
done = genqueue.wait_batch(batch["id"])
print(done["counts"]["succeeded"], "of", done["counts"]["total"])`,
  },
  listBatches: {
    typescript: `
for await (const batch of genqueue.listBatches()) console.log(batch.id, batch.status)`,
    python: `
for batch in genqueue.list_batches(limit=20):
    print(batch["id"], batch["status"])`,
  },
  getBatch: {
    typescript: `
const { status, progress } = await genqueue.getBatch('${BATCH}')
console.log(status, progress)`,
    python: `
batch = genqueue.get_batch("${BATCH}")
print(batch["status"], batch["progress"])`,
  },
  listBatchJobs: {
    typescript: `
for await (const job of genqueue.batchJobs('${BATCH}')) console.log(job.position, job.status)`,
    python: `
for job in genqueue.batch_jobs("${BATCH}"):
    print(job["position"], job["status"])`,
  },
  followBatch: {
    typescript: `
for await (const batch of genqueue.streamBatch('${BATCH}')) console.log(batch.progress)`,
    python: `
for batch in genqueue.batch_events("${BATCH}"):
    print(batch["progress"])`,
  },
  batchManifest: {
    typescript: `
for (const line of await genqueue.batchManifest('${BATCH}')) console.log(line.position, line.status, line.output)`,
    python: `
for line in genqueue.batch_manifest("${BATCH}"):
    print(line["position"], line["status"], line["output"])`,
  },
  cancelBatch: {
    typescript: `
const { counts } = await genqueue.cancelBatch('${BATCH}')
console.log(counts.canceled)`,
    python: `
batch = genqueue.cancel_batch("${BATCH}")
print(batch["counts"]["canceled"])`,
  },
  retryFailedBatch: {
    typescript: `
const batch = await genqueue.retryBatch('${BATCH}')
console.log(batch.id, batch.retry_of)`,
    python: `
batch = genqueue.retry_batch("${BATCH}")
print(batch["id"], batch["retry_of"])`,
  },
  issueBatchToken: {
    typescript: `
// In the browser: createClient({ baseUrl, key: token })
const { token } = await genqueue.batchToken('${BATCH}', 3600)
console.log(token)`,
    python: `
token = genqueue.batch_token("${BATCH}", expires_in=3600)
print(token["token"])`,
  },
  listPresets: {
    typescript: `
for (const { name, title } of await genqueue.presets()) console.log(name, title)`,
    python: `
for preset in genqueue.presets():
    print(preset["name"], preset["title"])`,
  },
  getPreset: {
    typescript: `
const preset = await genqueue.preset('story-page')
console.log(preset.input_schema)`,
  },
  listModels: {
    typescript: `
for (const { name } of await genqueue.models()) console.log(name)`,
    python: `
for model in genqueue.models():
    print(model["name"])`,
  },
  getModel: {
    typescript: `
const model = await genqueue.model('black-forest-labs/flux-schnell')
console.log(model.input_schema)`,
  },
  getCredits: {
    typescript: `
const { balance, held } = await genqueue.credits()
console.log(balance, held)`,
    python: `
account = genqueue.credits()
print(account["balance"], account["held"])`,
  },
  listLedger: {
    typescript: `
for await (const entry of genqueue.ledger({ limit: 100 })) console.log(entry.created_at, entry.kind, entry.amount)`,
  },
  listBudgets: {
    typescript: `
for (const budget of await genqueue.budgets()) console.log(budget.title, budget.used, budget.limit)`,
  },
  getSpending: {
    typescript: `
const spending = await genqueue.spending({ by: 'preset' })
console.log(spending)`,
  },
  readSession: {
    typescript: `
const { tenant, scopes } = await genqueue.session()
console.log(tenant, scopes)`,
  },
  isReady: {
    typescript: `
const { status, checks } = await genqueue.readiness()
console.log(status, checks)`,
  },
  readHealth: {
    typescript: `
const health = await genqueue.health()
console.log(health)`,
  },
}
