import { append } from '../../values/append.ts'
import type { KeyNames } from '../audit-source.ts'

export const noKeyNames = (): KeyNames => ({
  jobs: new Set(),
  parts: new Map(),
  tenants: [],
  labels: [],
  batches: new Set(),
  batchParts: new Map(),
  tenantBatches: [],
  keptFiles: new Set(),
  budgetCounts: [],
  notices: [],
  subscribers: new Set(),
  destinations: [],
  uploads: new Set(),
  uploadParts: new Set(),
  open: [],
  unknown: [],
  predictions: [],
  idempotency: [],
})

/** Adds a key to the names of its kind. `segments`: those after the tag of the deployment. */
export function sortKeyName(names: KeyNames, key: string, [kind, id = '', ...rest]: string[]): void {
  const [part] = rest
  if (kind === 'job' && part === undefined) names.jobs.add(id)
  else if (kind === 'job' && part) append(names.parts, id, part)
  else if (kind === 'tenant' && part === 'jobs') names.tenants.push({ key, tenant: id })
  else if (kind === 'tenant' && part === 'labels') names.labels.push({ key, tenant: id })
  else if (kind === 'tenant' && part === 'batches') names.tenantBatches.push(key)
  else if (kind === 'tenant' && part === 'notices') names.notices.push(id)
  else if (kind === 'tenant' && (part === 'endpoints' || part === 'subscribed')) names.subscribers.add(id)
  // The name of a destination may have colons.
  else if (kind === 'destination' && rest.at(-1) === 'waiting')
    names.destinations.push([id, ...rest.slice(0, -1)].join(':'))
  else if (kind === 'budget' && part) names.budgetCounts.push({ budget: id, period: part })
  else if (kind === 'files' && part === undefined) names.keptFiles.add(id)
  else if (kind === 'upload' && part === undefined) names.uploads.add(id)
  else if (kind === 'upload' && part === 'jobs') names.uploadParts.add(id)
  else if (kind === 'batch' && part === undefined) names.batches.add(id)
  else if (kind === 'batch' && part) append(names.batchParts, id, part)
  else if (kind === 'account' && part === 'open') names.open.push(key)
  else if (kind === 'account' && part === 'unknown') names.unknown.push(key)
  else if (kind === 'prediction') names.predictions.push({ key, id: rest.join(':') })
  else if (kind === 'idempotency') names.idempotency.push({ key, entry: [id, ...rest].join(':') })
}
