import { z } from 'zod'
import {
  keyPageSchema,
  newKeySchema,
  newTenantSchema,
  rotationSchema,
  secretRotationSchema,
  tenantChangeSchema,
  tenantPageSchema,
} from '../../../shared/tenants/rules/tenant-requests.ts'
import { signInSchema } from '../../schemas.ts'
import { tenantName } from '../common.ts'
import { keyId, keyPage, newKey, session, tenant, tenantPage, webhookSecret } from '../tenants.ts'
import { created, idempotencyKey, OPEN, OPEN_BODY, OWNED, POSTED, type Operations } from './operation.ts'

const params = z.object({ id: tenantName })
const keyParams = z.object({ id: tenantName, keyId })

export const sessionOperations = {
  signIn: {
    method: 'post',
    path: '/v1/session',
    tag: 'Session',
    summary: 'Exchange a key, or the code of a sign-in link, for a cookie',
    description:
      'For pages of this origin. The response sets an HttpOnly cookie for twelve hours, which becomes invalid at the latest with the key. A code works once. After 100 wrong keys or codes from one address within a minute, further wrong ones get 429.',
    access: 'open',
    body: { required: true, schema: signInSchema, example: { code: 'the code of the link' } },
    answers: {
      204: {
        description: 'The session cookie was set.',
        schema: null,
        headers: z.object({ 'Set-Cookie': z.string() }),
      },
    },
    errors: [...OPEN_BODY, 'unauthenticated', 'tenant_suspended', 'too_many_attempts', 'rate_limited'],
  },
  readSession: {
    method: 'get',
    path: '/v1/session',
    tag: 'Session',
    summary: 'Get the current session',
    description: 'Returns tenant and scopes of the key or session. Job tokens are refused.',
    answers: { 200: { description: 'The tenant, the scopes and the expiry.', schema: session } },
    errors: OWNED,
  },
  signOut: {
    method: 'delete',
    path: '/v1/session',
    tag: 'Session',
    summary: 'Sign out',
    access: 'open',
    answers: { 204: { description: 'The cookie was removed.', schema: null } },
    errors: OPEN,
  },
} satisfies Operations

export const webhookSecretOperations = {
  readWebhookSecret: {
    method: 'get',
    path: '/v1/webhook-secret',
    tag: 'Webhooks',
    summary: 'Get the signing secret',
    description:
      'The secret with which the webhooks of jobs and batches of the tenant are signed. The first request makes it. Requires the scope `jobs:write`.',
    answers: { 200: { description: 'The secret.', schema: webhookSecret } },
    errors: OWNED,
  },
  rotateWebhookSecret: {
    method: 'post',
    path: '/v1/webhook-secret',
    tag: 'Webhooks',
    summary: 'Rotate the signing secret',
    description:
      'Makes a new secret. The replaced one signs too for the grace period, so that receivers can be changed meanwhile. With `grace` 0 every earlier secret becomes invalid at once. Each request makes another secret. Requires the scope `jobs:write`.',
    body: { required: false, schema: secretRotationSchema },
    answers: { 200: { description: 'The new secret.', schema: webhookSecret } },
    errors: POSTED,
  },
} satisfies Operations

export const tenantOperations = {
  createTenant: {
    method: 'post',
    path: '/v1/admin/tenants',
    tag: 'Administration',
    summary: 'Create a tenant',
    description: 'Idempotent: repeating a request with the same settings creates no second tenant.',
    body: {
      required: true,
      schema: newTenantSchema,
      example: { id: 'story-app', title: 'Story app', limits: { queued_jobs: 5000 } },
    },
    answers: {
      201: { description: 'The tenant was created.', schema: tenant, headers: created },
      200: {
        description: 'The tenant already existed with the same title, limits and retention.',
        schema: tenant,
        headers: created,
      },
    },
    errors: [...POSTED, 'tenant_exists'],
  },
  listTenants: {
    method: 'get',
    path: '/v1/admin/tenants',
    tag: 'Administration',
    summary: 'List tenants',
    description: 'Lists tenants in pages, by id.',
    query: tenantPageSchema,
    answers: { 200: { description: 'A page of the list.', schema: tenantPage } },
    errors: OWNED,
  },
  getTenant: {
    method: 'get',
    path: '/v1/admin/tenants/{id}',
    tag: 'Administration',
    summary: 'Get a tenant',
    params,
    answers: { 200: { description: 'The tenant.', schema: tenant } },
    errors: [...OWNED, 'not_found'],
  },
  changeTenant: {
    method: 'post',
    path: '/v1/admin/tenants/{id}',
    tag: 'Administration',
    summary: 'Change a tenant',
    description:
      'Absent fields are unchanged. Limits apply from the next request on; `null` restores the default of the deployment. Requests of a suspended tenant are refused; its accepted jobs continue.',
    params,
    body: { required: true, schema: tenantChangeSchema, example: { limits: { queued_jobs: null }, suspended: false } },
    answers: { 200: { description: 'The changed tenant.', schema: tenant } },
    errors: [...POSTED, 'not_found'],
  },
  createKey: {
    method: 'post',
    path: '/v1/admin/tenants/{id}/keys',
    tag: 'Administration',
    summary: 'Create a key',
    description: 'The text of a key is returned only by this request and by a rotation.',
    params,
    headers: z.object({
      'Idempotency-Key': idempotencyKey.describe(
        '1 to 255 printable ASCII characters. Repeated requests with the same value and body create one API key. Only the first response contains its text; a repeated request gets 409 `key_already_made` with the id of the key in `key_id`. A different body is refused. Without this header, two requests create two keys.',
      ),
    }),
    body: {
      required: false,
      schema: newKeySchema,
      example: { title: 'back end', scopes: ['jobs:write', 'jobs:read'] },
    },
    answers: { 201: { description: 'The key with its text, which cannot be shown again.', schema: newKey } },
    errors: [...POSTED, 'not_found', 'invalid_idempotency_key', 'idempotency_key_reused', 'key_already_made'],
  },
  listKeys: {
    method: 'get',
    path: '/v1/admin/tenants/{id}/keys',
    tag: 'Administration',
    summary: 'List the keys of a tenant',
    description: 'Lists keys in pages, newest first, including expired and revoked ones.',
    params,
    query: keyPageSchema,
    answers: { 200: { description: 'A page of the list.', schema: keyPage } },
    errors: [...OWNED, 'not_found'],
  },
  revokeKey: {
    method: 'delete',
    path: '/v1/admin/tenants/{id}/keys/{keyId}',
    tag: 'Administration',
    summary: 'Revoke a key',
    description:
      'Invalidates the key, its sessions and its job tokens at once; its event streams end within seconds. Repeating the request changes nothing.',
    params: keyParams,
    answers: { 204: { description: 'The key is revoked.', schema: null } },
    errors: [...OWNED, 'not_found'],
  },
  rotateKey: {
    method: 'post',
    path: '/v1/admin/tenants/{id}/keys/{keyId}/rotate',
    tag: 'Administration',
    summary: 'Rotate a key',
    description:
      'Creates a key with the title, scopes and lifetime of the old key, which stays valid for the grace period. A key is rotated once: a repeated request gets 409 `key_already_made` with the id of the successor in `key_id`.',
    params: keyParams,
    body: { required: false, schema: rotationSchema },
    answers: { 201: { description: 'The new key with its text, which cannot be shown again.', schema: newKey } },
    errors: [...POSTED, 'not_found', 'key_already_made', 'key_not_active'],
  },
} satisfies Operations
