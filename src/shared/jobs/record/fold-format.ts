import type { AttemptRecord, JobRecord } from '../rules/job.ts'

/**
 * Formats of folded records (fold.ts). Part of the stored format: nothing of one ever changes, because every folded record
 * would become unreadable. A field that a format does not name is folded with its name; a longer order or a better dictionary
 * becomes another format.
 */

/** The fields of a job in their order: first those that nearly always have the same value. */
export const JOB_ORDER = [
  'status',
  'attempt',
  'start_since',
  'start_paused',
  'progress',
  'account',
  'webhook_events',
  'timeout',
  'start_within',
  'on_unknown',
  'resubmissions',
  'resubmit_limit',
  'store',
  'key_pattern',
  'named_as',
  'in_flight_limit',
  'charge_canceled',
  'in_sequence',
  'input',
  'output',
  'output_artifact',
  'stop',
  'retry_of',
  'deployment',
  'error',
  'charge_estimated',
  'uncollected',
  'metadata',
  'batch',
  'position',
  'preset',
  'price',
  'estimate',
  'captured',
  'keep',
  'output_shape',
  'artifacts',
  'seed',
  'metrics',
  'model',
  'version',
  'resolved_version',
  'input_sha256',
  'prediction_id',
  'idempotency',
  'created_at',
  'submitted_at',
  'prediction_created_at',
  'started_at',
  'completed_at',
] as const satisfies readonly (keyof JobRecord)[]

/** Further fields of format 2, after those. */
export const JOB_ORDER_2 = [
  ...JOB_ORDER,
  'resolved_model',
  'via',
  'webhook',
] as const satisfies readonly (keyof JobRecord)[]

/** The fields of an attempt in their order. */
export const ATTEMPT_ORDER = [
  'n',
  'account',
  'state',
  'orphans',
  'absent_since',
  'missing_since',
  'outcome',
  'finished_by',
  'claim',
  'prediction_id',
  'webhook_id',
  'intended_at',
  'closed_at',
] as const satisfies readonly (keyof AttemptRecord)[]

/** Texts that folded records contain, the most frequent ones last, where a reference to them is shortest. */
export const DICTIONARY = Buffer.from(
  [
    '"text/plain","application/json","audio/mpeg","audio/wav","video/mp4","image/jpeg","image/png","png","jpg","mp4"',
    '{"per_predict_second":1000,"per_output":1000,"per_input_token":10,"per_output_token":10,"per_video_second":1000,"expect":{"predict_seconds":10,"input_tokens":100,"output_tokens":{"input":"max_tokens","default":1}}}',
    '{"batch":"bat_01","position":{"reason":"timeout","requested_at":{"reason":"canceled","requested_at":["start","output","logs","completed"]',
    '"not_sent""rate_limited""connection_reset""aborted""canceled""failed""poll""list""cancel""create""unknown""retry""none"',
    '{"code":"timeout","message":"{"code":"prediction_failed","message":"{"code":"canceled","message":"The job was canceled.","retryable":true,"billed":"yes"}","retryable":false,"billed":"unknown"}","retryable":false,"billed":"no"}',
    '{"input_token_count":1,"output_token_count":1,"time_to_first_token":0.1,"tokens_per_second":10,"video_output_duration_seconds":5,"image_count":1,"total_time":1.0,"predict_time":1.0}',
    '{"files":["*"]}"google/gemini-3-pro""openai/gpt-4o-mini""anthropic/claude""meta/meta-llama-3-70b-instruct""stability-ai/""replicate/"',
    '"failed"\n0\n0\n0\n"canceled"\n1\n0\n0\n',
    '"bat_01\n1\n"\n{"per_run":1000,"expect":{}}\n1000\n1000\n',
    '[{"id":"art_\u0001_1_0","key":"default/job_\u0001/1/0","bytes":10000,"sha256":"","media_type":"image/webp","width":1024,"height":1024,"duration":null,"thumbnail":{"key":"default/job_\u0001/thumbnails/1-0.webp","bytes":3000}}]\n',
    '{"predict_time":1.0,"image_output_count":1}\n"black-forest-labs/flux-schnell"\n\n"hidden"\n"',
    '\n[86400,604800,604800]\n"json"\n\n\n{"predict_time":0.',
    '\n[86400,604800,604800]\n"text"\n\n\n{"predict_time":1.',
    '\n[86400,604800,604800]\n"files"\n[{"id":"art_',
    '\u00021\n\n"closed"\n\n\n\n"succeeded"\n"webhook"\n"',
    '"\n"msg_',
    '\u00030 qa0\n0 sw1i\n0 cc1+o\n0 rh1+\n0 oh1+c\n0 Sw1+\n0 Fh1+c\n0 Ca0\n0 Sh1+c',
    `"succeeded"\n1\n0\n0\n1${'\n'.repeat(30)}`,
  ].join(''),
)
