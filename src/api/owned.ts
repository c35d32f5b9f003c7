import { ServiceError } from '../shared/errors/service-error.ts'
import { UPLOAD_ID } from '../shared/inputs/rules/reference.ts'
import { ENDPOINT_ID } from '../shared/notifications/rules/endpoint.ts'
import { NOTIFICATION_ID } from '../shared/notifications/rules/notification.ts'
import type { JobRecord } from '../shared/jobs/rules/job.ts'
import type { OwnedRequest } from './http.ts'
import type { Principal } from './principal.ts'
import { BATCH_ID, JOB_ID } from '../shared/jobs/rules/ids.ts'

/** The objects that belong to a tenant, and the form of their ids. */
const IDS = { job: JOB_ID, batch: BATCH_ID, upload: UPLOAD_ID, endpoint: ENDPOINT_ID, notification: NOTIFICATION_ID }
type Kind = keyof typeof IDS

/** The 404 of an object that does not exist, and of one that belongs to another tenant. */
export const noSuch = (kind: Kind | 'artifact'): ServiceError =>
  new ServiceError('not_found', `The ${kind} does not exist.`)

/** What decides who may open an object: its tenant, and the id or the batch for which a job token was issued. */
export interface Subject {
  id: string
  tenant: string
  batch?: string | null
}

/** The only authorization of an object: it belongs to the tenant of the principal, and its job token names it. */
const mayOpen = ({ tenant, only }: Principal, subject: Subject): boolean =>
  subject.tenant === tenant && (only === null || only === subject.id || only === subject.batch)

/** Throws the 404 of `kind` unless the principal may open the object. */
export function requireOwned(kind: Kind | 'artifact', principal: Principal, subject: Subject): void {
  if (!mayOpen(principal, subject)) throw noSuch(kind)
}

export interface OwnedKind<T> {
  kind: Kind
  /** null: it does not exist. */
  read: (id: string, principal: Principal) => Promise<T | null>
  subjectOf: (found: T, principal: Principal) => Subject | Promise<Subject>
}

type NamingRequest = Pick<OwnedRequest, 'params' | 'principal'>

/** Finds the object that `:id` names; null: none that the caller may open. A malformed id does not reach the store. */
export function createFindOwned<T>({ kind, read, subjectOf }: OwnedKind<T>) {
  return async ({ params: { id = '' }, principal }: NamingRequest): Promise<T | null> => {
    const found = IDS[kind].test(id) ? await read(id, principal) : null
    return found !== null && mayOpen(principal, await subjectOf(found, principal)) ? found : null
  }
}

/** Returns the object that `:id` names. Throws one 404 for a malformed, an unknown and a foreign id. */
export function createOwned<T>(owned: OwnedKind<T>) {
  const find = createFindOwned(owned)
  return async (request: NamingRequest): Promise<T> => {
    const found = await find(request)
    if (found === null) throw noSuch(owned.kind)
    return found
  }
}

type JobSource = { read(id: string): Promise<JobRecord | null> }
const ownedJobs = (store: JobSource): OwnedKind<JobRecord> => ({
  kind: 'job',
  read: (id) => store.read(id),
  subjectOf: (job) => job,
})
export const createOwnedJob = (store: JobSource) => createOwned(ownedJobs(store))
export const createFindOwnedJob = (store: JobSource) => createFindOwned(ownedJobs(store))
