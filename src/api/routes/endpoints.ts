import type { Confirmations } from '../../shared/mail/confirmations.ts'
import { isAddress, mailTargetOf, mailUrl, metadataKeyOf } from '../../shared/mail/rules/address.ts'
import type { Endpoints } from '../../shared/notifications/endpoints.ts'
import { mailNotConfigured, type TestedEndpoint } from '../../shared/notifications/test-endpoint.ts'
import type { EndpointStore, NotificationStore } from '../../shared/notifications/ports.ts'
import { redeliverAll } from '../../shared/notifications/redelivery.ts'
import type { Endpoint as EndpointRecord } from '../../shared/notifications/rules/endpoint.ts'
import {
  endpointChangeSchema,
  newEndpointSchema,
  type EndpointChange,
} from '../../shared/notifications/rules/endpoint-requests.ts'
import { replaySchema } from '../../shared/notifications/rules/notification-requests.ts'
import { secretRotationSchema } from '../../shared/tenants/rules/tenant-requests.ts'
import { CUSTOMER_TYPES, OWED_TYPES } from '../../shared/notifications/rules/event-types.ts'
import { ServiceError, type FieldError } from '../../shared/errors/service-error.ts'
import type { EnabledEndpoint, EndpointPage, EndpointTest, NewEndpoint } from '../description/notifications.ts'
import type { ApiResponse, OwnedRequest, Route } from '../http.ts'
import { attemptView, endpointView } from '../notification-view.ts'
import { createOwned } from '../owned.ts'
import { invalidRequest, parseBody, parseWith } from '../schemas.ts'

export interface EndpointRoutesDependencies {
  store: EndpointStore
  endpoints: Endpoints
  notifications: Pick<NotificationStore, 'health' | 'list' | 'redeliver'>
  /** Sends a test event now, once. */
  test: (endpoint: EndpointRecord, signal: AbortSignal) => Promise<TestedEndpoint>
  check: {
    /** Describes why nothing may be sent to a URL; null: it may. */
    url: (url: string) => Promise<string | null>
    preset: (name: string) => boolean
  }
  mail: EndpointMail
}

export interface EndpointMail {
  confirmations: Pick<Confirmations, 'require' | 'ask'>
  isConfigured: boolean
  /** Whether the tenant may write to addresses of the metadata. */
  mayUseMetadata: (tenant: string) => Promise<boolean>
}

/** Where the notifications of the caller's tenant are sent. */
export function endpointRoutes({
  store,
  endpoints,
  notifications,
  check,
  test,
  mail,
}: EndpointRoutesDependencies): Route[] {
  const owned = createOwned<EndpointRecord>({
    kind: 'endpoint',
    read: (id, { tenant }) => store.read(tenant, id),
    subjectOf: (endpoint) => endpoint,
  })

  const view = async (endpoint: EndpointRecord) => endpointView(endpoint, await notifications.health(endpoint.id))

  /** The only responses that contain the secret. */
  async function withSecret(endpoint: EndpointRecord): Promise<NewEndpoint> {
    const shown = await view(endpoint)
    const key = endpoint.secrets?.current.key
    return { ...shown, secret: shown.secret && key !== undefined ? { ...shown.secret, key } : null }
  }

  /** `was`: the endpoint that is changed; null: it is created. */
  async function requireValid(
    tenant: string,
    was: EndpointRecord | null,
    { url, events, presets }: EndpointChange,
  ): Promise<void> {
    const target = was === null ? mailTargetOf(url ?? '') : was.kind === 'email' ? was.to : null
    const wrong = target === null ? await urlProblems(url) : await mailProblems(tenant, was, target, { url, events })
    const unknown = (presets ?? []).flatMap((name, at) =>
      check.preset(name)
        ? []
        : [{ pointer: `/presets/${at}`, code: 'unknown_preset', detail: 'The preset does not exist.' }],
    )
    if (wrong.length + unknown.length > 0) throw invalidRequest([...wrong, ...unknown])
  }

  async function urlProblems(url: string | undefined): Promise<FieldError[]> {
    const problem = url === undefined ? null : await check.url(url)
    return problem === null ? [] : [{ pointer: '/url', code: 'invalid_url', detail: problem }]
  }

  async function mailProblems(
    tenant: string,
    was: EndpointRecord | null,
    target: string,
    { url, events = [] }: Pick<EndpointChange, 'url' | 'events'>,
  ): Promise<FieldError[]> {
    const atUrl = (code: string, detail: string): FieldError[] => [{ pointer: '/url', code, detail }]
    const isNamedByMetadata = metadataKeyOf(target) !== null
    const allowed = isNamedByMetadata ? CUSTOMER_TYPES : OWED_TYPES
    const wrong = events.flatMap((type, at) =>
      (allowed as readonly string[]).includes(type)
        ? []
        : [{ pointer: `/events/${at}`, code: 'not_by_mail', detail: 'This type is not sent to this recipient.' }],
    )
    if (was !== null)
      return url === undefined || url === mailUrl(target)
        ? wrong
        : atUrl('address_is_fixed', 'The address of an endpoint cannot be changed. Create another endpoint.')
    if (isNamedByMetadata && !(await mail.mayUseMetadata(tenant)))
      return atUrl(
        'metadata_not_allowed',
        'The operator has not allowed this tenant to write to addresses of the metadata (`mail_to_metadata`).',
      )
    if (!isNamedByMetadata && !isAddress(target))
      return atUrl('invalid_address', 'Expected mailto: and one address, such as mailto:ada@example.com.')
    return wrong
  }

  async function create({ principal, body }: OwnedRequest): Promise<ApiResponse> {
    const { tenant } = principal
    const wanted = parseBody(newEndpointSchema, body)
    const target = mailTargetOf(wanted.url)
    if (target !== null && !mail.isConfigured) throw mailNotConfigured()
    await requireValid(tenant, null, wanted)
    const needsConfirmation = target !== null && metadataKeyOf(target) === null
    if (needsConfirmation) await mail.confirmations.require(tenant, target)
    const endpoint = await endpoints.create(tenant, wanted)
    if (needsConfirmation) await mail.confirmations.ask(endpoint)
    return { status: 201, headers: { location: `/v1/endpoints/${endpoint.id}` }, body: await withSecret(endpoint) }
  }

  async function list({ principal }: OwnedRequest): Promise<ApiResponse> {
    const all = await store.list(principal.tenant)
    const body: EndpointPage = { data: await Promise.all(all.map(view)), next_cursor: null }
    return { status: 200, body }
  }

  async function change(request: OwnedRequest): Promise<ApiResponse> {
    const was = await owned(request)
    const { tenant, id } = was
    const wanted = parseBody(endpointChangeSchema, request.body)
    await requireValid(tenant, was, wanted)
    return { status: 200, body: await view(await endpoints.change(tenant, id, wanted)) }
  }

  async function rotate(request: OwnedRequest): Promise<ApiResponse> {
    const { tenant, id } = await owned(request)
    const { grace } = parseWith(secretRotationSchema, request.body ?? {})
    return { status: 200, body: await withSecret(await endpoints.rotate(tenant, id, grace * 1000)) }
  }

  async function confirmation(request: OwnedRequest): Promise<ApiResponse> {
    const endpoint = await owned(request)
    if (!mail.isConfigured) throw mailNotConfigured()
    if (endpoint.kind !== 'email' || endpoint.confirmed_at !== null)
      throw new ServiceError('wrong_endpoint_kind', 'The endpoint needs no confirmation, or has it.')
    await mail.confirmations.require(endpoint.tenant, endpoint.to)
    await mail.confirmations.ask(endpoint)
    return { status: 202, body: await view(endpoint) }
  }

  async function enable(request: OwnedRequest): Promise<ApiResponse> {
    const { tenant, id } = await owned(request)
    const { endpoint, resumed } = await endpoints.enable(tenant, id)
    const body: EnabledEndpoint = { ...(await view(endpoint)), resumed }
    return { status: 200, body }
  }

  async function disable(request: OwnedRequest): Promise<ApiResponse> {
    const { tenant, id } = await owned(request)
    return { status: 200, body: await view(await endpoints.disable(tenant, id)) }
  }

  async function sendTest(request: OwnedRequest): Promise<ApiResponse> {
    const endpoint = await owned(request)
    const { attempt, body: sent } = await test(endpoint, request.gone())
    const shown = attemptView(attempt)
    const body: EndpointTest = { delivered: shown.advice === null, attempt: shown, body: sent }
    return { status: 200, body }
  }

  async function replay(request: OwnedRequest): Promise<ApiResponse> {
    const { tenant, id, disabled } = await owned(request)
    const range = parseWith(replaySchema, request.body ?? {})
    if (disabled !== null)
      throw new ServiceError('endpoint_disabled', 'Nothing is sent to a disabled endpoint. Enable it first.')
    return {
      status: 200,
      body: await redeliverAll(notifications, tenant, { endpoint: id, ...range }, ['failed', 'held']),
    }
  }

  return [
    { method: 'POST', path: '/v1/endpoints', scope: 'webhooks', handle: create },
    { method: 'GET', path: '/v1/endpoints', scope: 'webhooks', handle: list },
    {
      method: 'GET',
      path: '/v1/endpoints/:id',
      scope: 'webhooks',
      handle: async (request) => ({ status: 200, body: await view(await owned(request)) }),
    },
    { method: 'PATCH', path: '/v1/endpoints/:id', scope: 'webhooks', handle: change },
    {
      method: 'DELETE',
      path: '/v1/endpoints/:id',
      scope: 'webhooks',
      async handle(request) {
        const { tenant, id } = await owned(request)
        await endpoints.remove(tenant, id)
        return { status: 204 }
      },
    },
    { method: 'POST', path: '/v1/endpoints/:id/rotate', scope: 'webhooks', handle: rotate },
    { method: 'POST', path: '/v1/endpoints/:id/confirmation', scope: 'webhooks', handle: confirmation },
    { method: 'POST', path: '/v1/endpoints/:id/enable', scope: 'webhooks', handle: enable },
    { method: 'POST', path: '/v1/endpoints/:id/disable', scope: 'webhooks', handle: disable },
    {
      method: 'POST',
      path: '/v1/endpoints/:id/test',
      scope: 'webhooks',
      handle: sendTest,
    },
    { method: 'POST', path: '/v1/endpoints/:id/replay', scope: 'webhooks', handle: replay },
  ]
}
