import { limitChangeSchema, pauseRequestSchema, resumeSchema } from '../../../shared/limits/rules/limit-requests.ts'
import { changeList, limitList, manualPause, pauseList, scopeLimits } from '../limits.ts'
import { OWNED, POSTED, type Operations } from './operation.ts'

/** Limits and pauses, for operators. */
export const limitOperations = {
  listLimits: {
    method: 'get',
    path: '/v1/admin/limits',
    tag: 'Administration',
    summary: 'List limits',
    description:
      'Lists the limits of every account, and of each model, deployment, preset and tenant that has one, with the number of jobs in flight.',
    answers: { 200: { description: 'All limits.', schema: limitList } },
    errors: OWNED,
  },
  setLimits: {
    method: 'post',
    path: '/v1/admin/limits',
    tag: 'Administration',
    summary: 'Set limits',
    description:
      'Changes limits of one scope at once, for waiting jobs too. Jobs in flight go on; nothing new begins until their number is below the limit. The change is recorded.',
    body: { required: true, schema: limitChangeSchema, example: { scope: 'preset:portrait', concurrency: 20 } },
    answers: { 200: { description: 'The limits of the scope.', schema: scopeLimits } },
    errors: [...POSTED, 'not_found'],
  },
  listPauses: {
    method: 'get',
    path: '/v1/admin/pauses',
    tag: 'Administration',
    summary: 'List pauses',
    description: 'Lists what operators have paused, oldest first.',
    answers: { 200: { description: 'All pauses by hand.', schema: pauseList } },
    errors: OWNED,
  },
  pauseCreation: {
    method: 'post',
    path: '/v1/admin/pauses',
    tag: 'Administration',
    summary: 'Pause creation',
    description:
      'No prediction is created for the jobs of this scope until it is resumed. Jobs in flight go on, and the time does not count for `start_within`. Waiting jobs show the reason. A repeated request changes the reason. The change is recorded.',
    body: {
      required: true,
      schema: pauseRequestSchema,
      example: { scope: 'deployment:acme/upscaler', reason: 'Maintenance until 10:00' },
    },
    answers: { 200: { description: 'The pause.', schema: manualPause } },
    errors: POSTED,
  },
  resumeCreation: {
    method: 'delete',
    path: '/v1/admin/pauses',
    tag: 'Administration',
    summary: 'Resume creation',
    description: 'Ends a pause by hand. Pauses of other scopes stay. The change is recorded.',
    query: resumeSchema,
    answers: { 204: { description: 'The pause has ended.', schema: null } },
    errors: [...OWNED, 'not_found'],
  },
  listOperatorChanges: {
    method: 'get',
    path: '/v1/admin/changes',
    tag: 'Administration',
    summary: "List operators' changes",
    description: 'Lists the last hundred changes of limits and pauses, newest first. The last 10,000 are kept.',
    answers: { 200: { description: 'The changes.', schema: changeList } },
    errors: OWNED,
  },
} satisfies Operations
