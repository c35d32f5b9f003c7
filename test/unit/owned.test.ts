import { describe, expect, test } from 'vitest'
import { createFindOwned, createOwned, requireOwned, type OwnedKind, type Subject } from '../../src/api/owned.ts'
import type { Principal } from '../../src/api/principal.ts'

const ID = { job: `job_${'0'.repeat(26)}`, batch: `bat_${'0'.repeat(26)}`, upload: `upl_${'0'.repeat(26)}` }
const OTHER = `job_${'1'.repeat(26)}`

const principal = (tenant: string, only: string | null): Principal => ({
  tenant,
  only,
  scopes: ['jobs:read'],
  keyId: null,
  rate: null,
  limits: { requests_per_minute: 1, queued_jobs: 1, stored_bytes: 1, stored_files: 1 },
  keep: {},
  until: null,
})
const inBatch: Subject = { id: ID.job, tenant: 'mine', batch: ID.batch }
const single: Subject = { id: ID.job, tenant: 'mine', batch: null }

describe('an object', () => {
  test.for<[name: string, subject: Subject | null, tenant: string, only: string | null, opens: boolean]>([
    ['opens for its tenant', single, 'mine', null, true],
    ['does not open for another tenant', single, 'other', null, false],
    ['opens with a token for it', single, 'mine', ID.job, true],
    ['does not open with a token for another job', single, 'mine', OTHER, false],
    ['opens with a token for its batch', inBatch, 'mine', ID.batch, true],
    ['does not open with a token for a batch that it is not part of', single, 'mine', ID.batch, false],
    ['does not open for another tenant with a token for it', single, 'other', ID.job, false],
    ['that does not exist opens for nobody', null, 'mine', null, false],
  ])('%s', async ([, subject, tenant, only, opens]) => {
    const kind: OwnedKind<Subject> = { kind: 'job', read: async () => subject, subjectOf: (found) => found }
    const request = { params: { id: ID.job }, principal: principal(tenant, only) }
    expect(await createFindOwned(kind)(request)).toEqual(opens ? subject : null)
    const required = createOwned(kind)(request)
    if (opens) expect(await required).toBe(subject)
    else await expect(required).rejects.toMatchObject({ code: 'not_found', message: 'The job does not exist.' })
    const require = (): void => requireOwned('artifact', request.principal, subject ?? { id: '', tenant: '' })
    if (opens) expect(require).not.toThrow()
    else expect(require).toThrow('The artifact does not exist.')
  })

  test.for<[kind: 'job' | 'batch' | 'upload', id: string | undefined, isRead: boolean]>([
    ['job', ID.job, true],
    ['batch', ID.batch, true],
    ['upload', ID.upload, true],
    ['job', ID.batch, false],
    ['batch', ID.job, false],
    ['upload', ID.job, false],
    ['job', `${ID.job}0`, false],
    ['job', `${ID.job}:x`, false],
    ['job', '', false],
    ['job', undefined, false],
  ])('a %s with the id %s is read: %s', async ([kind, id, isRead]) => {
    const read: string[] = []
    const owned = createOwned<Subject>({
      kind,
      async read(found) {
        read.push(found)
        return null
      },
      subjectOf: (found) => found,
    })
    const request = { params: id === undefined ? {} : { id }, principal: principal('mine', null) }
    await expect(owned(request)).rejects.toMatchObject({ code: 'not_found', message: `The ${kind} does not exist.` })
    expect(read).toEqual(isRead ? [id] : [])
  })
})
