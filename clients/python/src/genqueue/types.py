# Made from docs/openapi.yaml by "npm run build:api". Do not edit.
"""
The shapes of the HTTP API. Times are RFC 3339 with milliseconds, durations seconds. Fields and values are only ever added.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict, Union

#: Any JSON value.
Json = Any

#: Class in the queue: `interactive` jobs come first, but each tenth job is a `batch` job while both wait.
Priority = Literal["interactive", "batch"]

WebhookEvent = Literal["start", "output", "logs", "completed"]

JobId = str

#: A status never changes to an earlier one. The last three are final.
JobStatus = Literal["queued", "starting", "processing", "succeeded", "failed", "canceled"]

#: The detailed state of the job (docs/design.md).
JobPhase = Literal[
    "queued",
    "submitting",
    "unknown",
    "created",
    "running",
    "resubmitting",
    "stopping",
    "storing",
    "succeeded",
    "failed",
    "canceled",
]

BatchId = str

#: Whether Replicate charges for the prediction, according to its published rules for public models.
Billed = Literal["no", "yes", "unknown"]

Time = str

NotificationType = Literal[
    "job.started",
    "job.succeeded",
    "job.failed",
    "job.canceled",
    "batch.finished",
    "credits.low",
    "credits.exhausted",
    "budget.alert",
    "artifact.at_risk",
    "endpoint.disabled",
    "job.progress",
]

#: `budget`: the rate limit of the account. `rate_limited`: Replicate responded with 429. `upstream`: Replicate is
#: failing or unreachable. `account`: Replicate rejects the token or the credit. `webhook`: Replicate rejects the
#: webhook URL of this service (`PUBLIC_URL`). `storage`: files cannot be stored. `outcome`: it is unknown whether
#: a create request arrived. `scheduled`: it may not start before the time that was submitted. `preset_limit`: the
#: preset is at its concurrency limit. `paused`: an operator has paused creation; `detail` has the reason.
#: `concurrency`: the tenant, model or deployment is at its limit of jobs in flight. `sequence`: earlier jobs of
#: the batch come first. `max_spend`: the spending limit of the batch is held for other jobs. `files`: input files
#: are being uploaded to Replicate. `copy`: outputs are being copied. `stop`: Replicate has not confirmed the
#: cancellation. `recovery`: Redis is being compared with Replicate before creation resumes. `redis`: Redis is
#: unavailable. `worker`: no worker is running.
WaitingReason = Literal[
    "budget",
    "rate_limited",
    "upstream",
    "account",
    "webhook",
    "storage",
    "outcome",
    "scheduled",
    "preset_limit",
    "paused",
    "concurrency",
    "sequence",
    "max_spend",
    "files",
    "copy",
    "stop",
    "recovery",
    "redis",
    "worker",
]

#: From 1m to 365d.
Duration = str

#: From 1m to 3650d, or `forever`.
DurationOrForever = str

UploadId = str

#: `partial`: some jobs have succeeded, others not.
BatchStatus = Literal["running", "succeeded", "partial", "failed", "canceled"]

#: Why the model's schema is not used, so that inputs are not checked at submission.
SchemaProblem = Literal["too_large", "not_compiled", "too_heavy"]

#: Stable. docs/errors.md says of each code whether the same request may succeed later.
ErrorCode = Union[Literal[
    "invalid_json",
    "body_too_complex",
    "invalid_multipart",
    "invalid_idempotency_key",
    "invalid_header",
    "unauthenticated",
    "insufficient_credits",
    "budget_exceeded",
    "forbidden",
    "tenant_suspended",
    "no_price",
    "raw_models_disabled",
    "origin_not_allowed",
    "cross_site",
    "invalid_signature",
    "link_expired",
    "not_found",
    "model_not_found",
    "preset_not_found",
    "method_not_allowed",
    "request_timeout",
    "not_cancelable",
    "not_deletable",
    "not_retryable",
    "upload_in_use",
    "tenant_exists",
    "balance_too_low",
    "credits_not_countable",
    "too_many_budgets",
    "too_many_endpoints",
    "endpoint_disabled",
    "mail_not_configured",
    "wrong_endpoint_kind",
    "key_already_made",
    "key_not_active",
    "body_too_large",
    "unsupported_media_type",
    "range_not_satisfiable",
    "invalid_request",
    "idempotency_key_reused",
    "too_many_queued",
    "rate_limited",
    "confirmation_limited",
    "too_many_bodies",
    "too_many_streams",
    "too_many_attempts",
    "too_much_stored",
    "internal",
    "upstream_unavailable",
    "storage_unavailable",
    "deployment_lost",
    "unavailable",
    "accept_unknown",
    "storage_full",
    "capacity",
], str]


class _JobRequest(TypedDict):
    #: Input of the model; with a preset, the fields that the preset leaves open. Limited to 2 MiB of JSON, and to
    #: 64 KiB without texts of more than 1,024 characters. A file is given as a link, as the `url` of an upload,
    #: or as a data URI, which is stored and shown as a path. A field that a preset does not know is refused; one
    #: that the schema of a model lacks is passed on, unless that schema says `additionalProperties: false`.
    input: dict[str, Json]


class JobRequest(_JobRequest, total=False):
    """Exactly one of `preset`, `model`, `version` and `deployment` is required. With a preset, only the fields
    that it allows. Unlisted fields are refused."""

    #: The name of a preset, which sets the model and the fields that a job may set.
    preset: str
    #: `owner/name`. A model that is not official runs in its newest version, which the job shows as `version`.
    model: str
    #: 64 hexadecimal digits, alone or after `owner/name:`.
    version: str
    #: `owner/name` of a deployment. One that Replicate does not know is refused with `unknown_deployment`.
    deployment: str
    #: Your own data, returned with the job and never sent to Replicate. Limited to 4 KiB of JSON. Jobs are listed
    #: by its first ten fields with a text, number or boolean.
    metadata: dict[str, Json]
    #: The user of your product for whom the job is made. Never sent to Replicate; jobs are listed by it.
    user: str
    #: Where notifications of this job are sent, signed with the secret of the tenant. Not for jobs of a batch,
    #: which have the webhook of their batch.
    webhook: JobWebhook
    #: Class in the queue: `interactive`, or `batch`, the default for jobs of a batch. Each tenth job is a `batch`
    #: job while both wait.
    priority: Priority
    #: The job does not start before this time, at most 30 days ahead. `start_within` begins then.
    not_before: str
    #: Maximum seconds from the creation of the prediction to its completion. Default: that of the preset, or 600.
    timeout: int
    #: Maximum seconds from acceptance to the creation of the prediction, without the time in which creation is
    #: paused. Default: that of the preset, or 86400.
    start_within: int
    #: Webhook events of Replicate to subscribe to. `start` and `completed` are always included; `output` and
    #: `logs` provide live progress.
    webhook_events: list[WebhookEvent]
    #: Reaction if it is still unknown, 50 minutes after a create request, whether Replicate received it: `fail`
    #: fails the job (the default); `retry` sends the request again and risks paying for an unused prediction.
    on_unknown: Literal["fail", "retry"]
    #: Whether output files are copied before the job succeeds (`copy`, the default), or stay only at Replicate,
    #: for an hour (`none`).
    store: Literal["copy", "none"]
    #: How long the job is kept after completion. Absent clocks have the value of the preset, tenant or
    #: deployment. A value above their maximum gets 422 with its field (docs/storage.md).
    keep: OwnKeep


class _JobWebhook(TypedDict):
    #: A public https URL without credentials. The operator can allow others with WEBHOOK_ALLOW. Keys that may
    #: read the job see it; job tokens do not.
    url: str


class JobWebhook(_JobWebhook, total=False):
    #: What is sent. Default: `job.succeeded`, `job.failed` and `job.canceled`.
    events: list[Literal[
    "job.started",
    "job.succeeded",
    "job.failed",
    "job.canceled",
    "artifact.at_risk",
    "job.progress",
]]


class OwnKeep(TypedDict, total=False):
    """Absent clocks have the value of the level above."""

    #: From 1m to 365d.
    payload: str
    #: From 1m to 365d.
    job: str
    #: From 1m to 3650d, or `forever`.
    files: str


class _Job(TypedDict):
    id: JobId
    status: JobStatus
    phase: JobPhase
    #: Increases with each change except progress; the id of the events of the job.
    rev: int
    tenant: str
    #: Number of the current request to Replicate; 0 before the first.
    attempt: int
    #: `owner/name`; null when only a version was given.
    model: str | None
    version: str | None
    #: `owner/name` of the deployment, when the job was submitted to one.
    deployment: str | None
    #: The preset of the job.
    preset: str | None
    #: The batch of the job.
    batch: BatchId | None
    #: Position in the batch, from 0.
    position: int | None
    #: Replicate's id of the prediction; null before it exists.
    prediction_id: str | None
    #: null after retention has removed it.
    input: dict[str, Json] | None
    metadata: dict[str, Json]
    #: The user of your product, as submitted.
    user: str | None
    #: The id of the API key that submitted the job; null for the development key, and after retention has removed
    #: the payload.
    key_id: str | None
    webhook_events: list[WebhookEvent]
    #: Seconds.
    timeout: int
    #: Seconds.
    start_within: int
    priority: Priority
    #: Reaction if it remains unknown whether a create request arrived.
    on_unknown: Literal["fail", "retry"]
    #: Whether output files are copied, or stay only at Replicate, for an hour.
    store: Literal["copy", "none"]
    #: The job of which this job is a retry.
    retry_of: JobId | None
    #: The id of the artifact that contains the complete output, if it is larger than 32 KiB; `output` is then the
    #: `url` of this artifact. Null if `output` is the output itself.
    output_artifact: str | None
    #: Parsed from the model's logs, or null.
    progress: float | None
    error: JobError | None
    #: Measurements of Replicate, such as `predict_time` in seconds.
    metrics: dict[str, Json]
    #: Whether `input` is shortened: of an input of more than 16 KiB, texts of more than 1,024 characters show
    #: only their beginning, except in `GET /v1/jobs/{id}` and the manifests.
    input_truncated: bool
    #: The output in the model's own shape. A file is shown as the `url` of its artifact, or as null if it is
    #: lost. Tokens are joined to one text if the model's Output schema, or the preset, says so. While a text
    #: model runs, the output contains the first 4,000 characters; otherwise it is null until completion. After
    #: `output_not_stored` it contains the part that was stored.
    output: Json
    artifacts: list[Artifact]
    #: null without one.
    webhook: OwnWebhook | None
    #: Micro-credits; null if the job has no price.
    cost: JobCost | None
    waiting_for: WaitingFor | None
    keep: JobKeep
    #: Time before which the job does not start; null: none was submitted.
    not_before: Time | None
    created_at: Time
    #: Time of the last change of the phase or of an attempt.
    updated_at: Time
    submitted_at: Time | None
    started_at: Time | None
    completed_at: Time | None
    #: Time at which input and output are removed from the record; null before the job is final.
    payload_expires_at: Time | None
    #: Time at which the record is removed; null before the job is final.
    expires_at: Time | None


class Job(_Job, total=False):
    #: Only where one job is submitted, retried or read, not in lists and streams. null for a job that does not
    #: wait for its turn.
    forecast: Forecast | None
    #: Only with `?include=history`: the newest 100 entries, oldest first.
    history: list[HistoryEntry]


class JobError(TypedDict):
    #: Stable; docs/errors.md lists all codes.
    code: str
    message: str
    #: Whether the same job may succeed when it is submitted again.
    retryable: bool
    billed: Billed


class Artifact(TypedDict):
    """A stored output file."""

    id: str
    #: A path on this service that needs no credentials. Valid for at least an hour and fresh in each response, or
    #: with `?links=lasting` valid as long as the file exists.
    url: str
    #: File name for saving: preset or model, id of the job, number of the output if there are several, extension.
    name: str
    #: Detected from the first bytes. The declared type applies only where they do not decide.
    media_type: str
    bytes: int
    sha256: str
    #: Displayed width of pictures and MP4, in pixels; null if unknown.
    width: int | None
    #: Displayed height, in pixels; null if unknown.
    height: int | None
    #: Seconds, for MP4, WAV and animated pictures; null if unknown.
    duration: float | None
    #: Path of the thumbnail (WebP, at most 512 pixels), like `url`; null without one.
    thumbnail_url: str | None
    #: `s3://<bucket>/<key>` of a file in a bucket; otherwise null.
    location: str | None
    #: Time at which retention removes the file; null before the job is final, and always if `keep.files` is
    #: `forever`.
    expires_at: Time | None


class OwnWebhook(TypedDict):
    """Where notifications of a job or batch go, besides the endpoints."""

    url: str
    events: list[NotificationType]


class JobCost(TypedDict):
    """Micro-credits."""

    #: The amount that is held at acceptance.
    estimate: int
    #: The estimate until the job is final, then 0.
    held: int
    #: null until the job is final.
    captured: int | None
    #: The part of the cost that the account could not pay.
    uncollected: int
    #: true if the metrics lacked a quantity of the price, so the hold was captured.
    estimated: bool


class WaitingFor(TypedDict):
    """Why a job waits."""

    reason: WaitingReason
    detail: str
    #: Time at which the wait ends in any case: the end of a pause, the bound of a stop, or the time at which a
    #: failing copy is given up. null: not known.
    until: Time | None


class ForecastStartsIn(TypedDict):
    """Seconds until it starts: in half of the cases, and in nine of ten. Calculated from its position, the
    present rate of creates and limits of jobs in flight, and corrected by how such forecasts have come true
    lately. null: not known, for example during a pause without a known end."""

    p50: float
    p90: float


class ForecastRunTime(TypedDict):
    """Seconds from its start to its end, as with earlier runs of the model; null: too few are known."""

    p50: float
    p90: float


class Forecast(TypedDict):
    """When a job that waits for its turn is expected to start, and how long it is expected to run."""

    #: Number of jobs, of all tenants, that start before it as far as is known now. null while its start time has
    #: not come, or while earlier jobs of its batch come first.
    position: int | None
    #: Seconds until it starts: in half of the cases, and in nine of ten. Calculated from its position, the
    #: present rate of creates and limits of jobs in flight, and corrected by how such forecasts have come true
    #: lately. null: not known, for example during a pause without a known end.
    starts_in: ForecastStartsIn | None
    #: Seconds from its start to its end, as with earlier runs of the model; null: too few are known.
    run_time: ForecastRunTime | None


class JobKeep(TypedDict):
    """How long parts of a job are kept after its completion: a whole number with `s`, `m`, `h` or `d`. Always
    payload <= job <= files."""

    #: Input and output in the record, and files that only this input names.
    payload: Duration
    #: The record.
    job: Duration
    #: The output files: as long as the record, or longer.
    files: DurationOrForever


class _HistoryEntry(TypedDict):
    at: Time
    phase: JobPhase
    status: JobStatus
    #: Cause of the change: a request to this service (`api`), the response to a create, a webhook, a poll of one
    #: prediction, a listing (`list`), the response to a cancel, a worker, or the time (`sweep`).
    cause: Literal["api", "create", "webhook", "poll", "list", "cancel", "worker", "sweep"]
    attempt: int
    prediction: str | None


class HistoryEntry(_HistoryEntry, total=False):
    #: Only if it changed.
    attempt_state: Literal["intended", "unknown", "open", "closed"]
    #: Detail, such as why a request was refused, why its outcome is unknown, or which failure led to a
    #: resubmission.
    note: str
    #: The error code of the job.
    error: str


class JobPage(TypedDict):
    data: list[Job]
    #: null on the last page.
    next_cursor: str | None


class JobLogs(TypedDict):
    """Logs of the model."""

    #: The end of the log; null before the prediction exists, and from about an hour after its completion unless
    #: the logs are kept here.
    logs: str | None
    #: true if the beginning is missing.
    truncated: bool


class ReadToken(TypedDict):
    """Opens one job or batch for reading, in place of a key: for browsers."""

    token: str
    expires_at: Time


class Upload(TypedDict):
    """A file for inputs."""

    id: UploadId
    #: Path of the file, for reading it and for referring to it in an input.
    url: str
    media_type: str
    bytes: int
    sha256: str
    created_at: Time
    #: Time at which the upload is removed if no job uses it.
    expires_at: Time


class _BatchRequest(TypedDict):
    #: The jobs, by position.
    items: list[BatchItem]


class BatchRequest(_BatchRequest, total=False):
    """All of its jobs are accepted, or none."""

    #: Shorthand for `defaults.preset`.
    preset: str
    #: Default values of the items: any field of a job request.
    defaults: BatchItem
    #: Run the jobs one after the other, by position.
    sequential: bool
    #: No further job starts once the share of failures among succeeded and failed jobs reaches this value. It is
    #: checked from the fifth of them on, in a small batch from half of its jobs on.
    stop_on_failure_rate: float
    #: Maximum cost of the batch, in micro-credits. No further job starts that would exceed it.
    max_spend: int
    #: Your own data. Limited to 4 KiB.
    metadata: dict[str, Json]
    #: Where notifications of the batch and its jobs are sent, signed with the secret of the tenant.
    webhook: BatchWebhook


class BatchItem(TypedDict, total=False):
    """A job request; absent fields have the values of `defaults`, the input field by field."""

    #: The name of a preset, which sets the model and the fields that a job may set.
    preset: str
    #: `owner/name`. A model that is not official runs in its newest version, which the job shows as `version`.
    model: str
    #: 64 hexadecimal digits, alone or after `owner/name:`.
    version: str
    #: `owner/name` of a deployment. One that Replicate does not know is refused with `unknown_deployment`.
    deployment: str
    #: Input of the model; with a preset, the fields that the preset leaves open. Limited to 2 MiB of JSON, and to
    #: 64 KiB without texts of more than 1,024 characters. A file is given as a link, as the `url` of an upload,
    #: or as a data URI, which is stored and shown as a path. A field that a preset does not know is refused; one
    #: that the schema of a model lacks is passed on, unless that schema says `additionalProperties: false`.
    input: dict[str, Json]
    #: Your own data, returned with the job and never sent to Replicate. Limited to 4 KiB of JSON. Jobs are listed
    #: by its first ten fields with a text, number or boolean.
    metadata: dict[str, Json]
    #: The user of your product for whom the job is made. Never sent to Replicate; jobs are listed by it.
    user: str
    #: Where notifications of this job are sent, signed with the secret of the tenant. Not for jobs of a batch,
    #: which have the webhook of their batch.
    webhook: JobWebhook
    #: Class in the queue: `interactive`, or `batch`, the default for jobs of a batch. Each tenth job is a `batch`
    #: job while both wait.
    priority: Priority
    #: The job does not start before this time, at most 30 days ahead. `start_within` begins then.
    not_before: str
    #: Maximum seconds from the creation of the prediction to its completion. Default: that of the preset, or 600.
    timeout: int
    #: Maximum seconds from acceptance to the creation of the prediction, without the time in which creation is
    #: paused. Default: that of the preset, or 86400.
    start_within: int
    #: Webhook events of Replicate to subscribe to. `start` and `completed` are always included; `output` and
    #: `logs` provide live progress.
    webhook_events: list[WebhookEvent]
    #: Reaction if it is still unknown, 50 minutes after a create request, whether Replicate received it: `fail`
    #: fails the job (the default); `retry` sends the request again and risks paying for an unused prediction.
    on_unknown: Literal["fail", "retry"]
    #: Whether output files are copied before the job succeeds (`copy`, the default), or stay only at Replicate,
    #: for an hour (`none`).
    store: Literal["copy", "none"]
    #: How long the job is kept after completion. Absent clocks have the value of the preset, tenant or
    #: deployment. A value above their maximum gets 422 with its field (docs/storage.md).
    keep: OwnKeep


class _BatchWebhook(TypedDict):
    #: A public https URL without credentials. The operator can allow others with WEBHOOK_ALLOW. Keys that may
    #: read the job see it; job tokens do not.
    url: str


class BatchWebhook(_BatchWebhook, total=False):
    #: What is sent. Default: only `batch.finished`. Events of jobs are sent for each job of the batch.
    events: list[Literal[
    "batch.finished",
    "job.started",
    "job.succeeded",
    "job.failed",
    "job.canceled",
    "artifact.at_risk",
    "job.progress",
]]


class BatchCounts(TypedDict):
    """Number of jobs by status."""

    total: int
    queued: int
    starting: int
    processing: int
    succeeded: int
    failed: int
    canceled: int


class BatchCost(TypedDict):
    """Micro-credits of all jobs; null if they have no price."""

    estimate: int
    #: Held for unfinished jobs.
    held: int
    captured: int
    #: The part of the cost that the account could not pay.
    uncollected: int


class Batch(TypedDict):
    """Jobs that were submitted together. Amounts are micro-credits."""

    id: BatchId
    status: BatchStatus
    tenant: str
    #: Whether the jobs run one after the other, by position.
    sequential: bool
    #: Number of jobs by status.
    counts: BatchCounts
    #: The share of completed jobs.
    progress: float
    #: Share of successes among succeeded and failed jobs; null before the first one.
    success_rate: float | None
    #: By the pace so far; null before the first job has ended, and when all have.
    estimated_end_at: Time | None
    stop_on_failure_rate: float | None
    max_spend: int | None
    #: Why no further job starts.
    stopped: Literal["canceled", "failure_rate", "max_spend", None]
    #: Micro-credits of all jobs; null if they have no price.
    cost: BatchCost | None
    metadata: dict[str, Json]
    #: null without one.
    webhook: OwnWebhook | None
    #: The batch whose unsuccessful jobs this batch retries.
    retry_of: BatchId | None
    created_at: Time
    completed_at: Time | None


class BatchPage(TypedDict):
    data: list[Batch]
    #: null on the last page.
    next_cursor: str | None


class ManifestLine(TypedDict):
    """The result of one job of a batch."""

    position: int
    #: The job's id.
    job: JobId
    status: JobStatus
    #: The preset of the job.
    preset: str | None
    #: `owner/name`; null when only a version was given.
    model: str | None
    version: str | None
    #: Replicate's id of the prediction; null before it exists.
    prediction_id: str | None
    #: null after retention has removed it.
    input: dict[str, Json] | None
    #: The output in the model's own shape. A file is shown as the `url` of its artifact, or as null if it is
    #: lost. Tokens are joined to one text if the model's Output schema, or the preset, says so. While a text
    #: model runs, the output contains the first 4,000 characters; otherwise it is null until completion. After
    #: `output_not_stored` it contains the part that was stored.
    output: Json
    #: The id of the artifact that contains the complete output, if it is larger than 32 KiB; `output` is then the
    #: `url` of this artifact. Null if `output` is the output itself.
    output_artifact: str | None
    artifacts: list[Artifact]
    error: JobError | None
    #: Micro-credits; null if the job has no price.
    cost: JobCost | None
    metadata: dict[str, Json]


class PresetKeep(TypedDict, total=False):
    """Retention of its jobs. Absent clocks have the value of the level above."""

    #: Input and output in the record, and files that only this input names.
    payload: Duration
    #: The record.
    job: Duration
    #: The output files: as long as the record, or longer.
    files: DurationOrForever


class PresetRunTime(TypedDict):
    """Recent run times of the model, in seconds; null if fewer than five runs are known."""

    #: The median run time.
    p50: float
    #: The 90th percentile of the run times.
    p90: float


class Preset(TypedDict):
    """A named recipe for jobs."""

    name: str
    title: str
    description: str
    #: `owner/name`; null for a preset with a deployment.
    model: str | None
    #: Version of the model; null: the official one.
    version: str | None
    deployment: str | None
    #: Models, `owner/name`, whose creates at Replicate's own API run under this preset; so do jobs of them here
    #: where `RAW_MODELS` is `presets`.
    serves: list[str]
    #: JSON Schema of the `input` that a job may contain, with the defaults of the preset. Null while the schema
    #: of the model is unavailable.
    input_schema: dict[str, Json] | None
    #: SHA-256 of the schema of the complete input, without titles and descriptions.
    schema_sha256: str | None
    #: Why the model's schema is not used and inputs are not validated at submission. Null if the schema is used,
    #: or not known yet.
    schema_problem: SchemaProblem | None
    #: Default values of the input.
    defaults: dict[str, Json]
    #: Input fields that are set in every job.
    fixed: dict[str, Json]
    #: The input fields that a job may set.
    overrides: list[str]
    #: Meaning of the output; null applies the Output schema of the model.
    output: Literal["text", "files", "json", None]
    #: Pattern of file names in a bucket; null applies the pattern of the deployment.
    key_pattern: str | None
    #: null: jobs of the preset have no price.
    price: PriceRule | None
    #: Micro-credits that are held for a job with the default input.
    estimate: int | None
    #: Seconds.
    timeout: int
    #: Seconds.
    start_within: int
    webhook_events: list[WebhookEvent]
    on_unknown: Literal["fail", "retry"]
    store: Literal["copy", "none"]
    #: Retention of its jobs. Absent clocks have the value of the level above.
    keep: PresetKeep
    #: Maximum number of resubmissions after failures of Replicate's platform.
    resubmit_limit: int
    #: Maximum number of its jobs in flight, of all tenants together; null: none.
    concurrency: int | None
    #: Maximum number of its jobs in flight, of each tenant; null: none.
    per_tenant: int | None
    #: Whether a job that is canceled after its start is charged.
    charge_canceled: bool
    #: The policies that a job may set.
    policy_overrides: list[Literal["timeout", "start_within", "webhook_events", "on_unknown", "store", "keep"]]
    #: Recent run times of the model, in seconds; null if fewer than five runs are known.
    run_time: PresetRunTime | None


class PriceRuleExpectPredictSeconds(TypedDict):
    #: The field of the input that contains the quantity.
    input: str
    default: float


class PriceRuleExpectPredictSeconds(TypedDict):
    #: The field of the input that names a file (MP4 or WAV): the quantity is its duration in seconds.
    duration_of: str
    #: For a file whose duration is not known, such as one behind a link.
    default: float


class PriceRuleExpectOutputs(TypedDict):
    #: The field of the input that contains the quantity.
    input: str
    default: float


class PriceRuleExpectOutputs(TypedDict):
    #: The field of the input that names a file (MP4 or WAV): the quantity is its duration in seconds.
    duration_of: str
    #: For a file whose duration is not known, such as one behind a link.
    default: float


class PriceRuleExpectInputTokens(TypedDict):
    #: The field of the input that contains the quantity.
    input: str
    default: float


class PriceRuleExpectInputTokens(TypedDict):
    #: The field of the input that names a file (MP4 or WAV): the quantity is its duration in seconds.
    duration_of: str
    #: For a file whose duration is not known, such as one behind a link.
    default: float


class PriceRuleExpectOutputTokens(TypedDict):
    #: The field of the input that contains the quantity.
    input: str
    default: float


class PriceRuleExpectOutputTokens(TypedDict):
    #: The field of the input that names a file (MP4 or WAV): the quantity is its duration in seconds.
    duration_of: str
    #: For a file whose duration is not known, such as one behind a link.
    default: float


class PriceRuleExpectVideoSeconds(TypedDict):
    #: The field of the input that contains the quantity.
    input: str
    default: float


class PriceRuleExpectVideoSeconds(TypedDict):
    #: The field of the input that names a file (MP4 or WAV): the quantity is its duration in seconds.
    duration_of: str
    #: For a file whose duration is not known, such as one behind a link.
    default: float


class PriceRuleExpect(TypedDict, total=False):
    """Expected quantities for the estimate, from which the hold is computed."""

    predict_seconds: float | PriceRuleExpectPredictSeconds
    outputs: float | PriceRuleExpectOutputs
    input_tokens: float | PriceRuleExpectInputTokens
    output_tokens: float | PriceRuleExpectOutputTokens
    video_seconds: float | PriceRuleExpectVideoSeconds


class _PriceRule(TypedDict):
    #: Expected quantities for the estimate, from which the hold is computed.
    expect: PriceRuleExpect


class PriceRule(_PriceRule, total=False):
    """Micro-credits per unit. The parts are added, and the sum is rounded up."""

    per_run: int
    #: Per second of `predict_time` in Replicate's metrics.
    per_predict_second: int
    #: Per file, or per text.
    per_output: int
    per_input_token: int
    per_output_token: int
    per_video_second: int


class Model(TypedDict):
    #: `owner/name`
    name: str
    description: str | None
    #: Official models are submitted by name, other models by `version`.
    official: bool
    version: str | None
    #: JSON Schema of `input`, as Replicate publishes it (`x-order`, enums by `allOf`); its references resolve in
    #: `schemas`.
    input_schema: dict[str, Json]
    #: `components.schemas` of the version.
    schemas: dict[str, Json]
    #: Why the model's schema is not used and inputs are not validated at submission. Null if the schema is used,
    #: or not known yet.
    schema_problem: SchemaProblem | None


class Credits(TypedDict):
    """Whole micro-credits. Always granted = balance + held + captured."""

    tenant: str
    #: true without a grant: no job is refused, and the balance may be negative.
    unlimited: bool
    #: Sum of all grants and adjustments.
    granted: int
    #: Available for new jobs.
    balance: int
    #: Held for jobs that are not final.
    held: int
    #: Charged for final jobs.
    captured: int
    #: The event `credits.low` happens when the balance falls below this; null: never.
    low_balance: int | None


class _Problem(TypedDict):
    #: `urn:genqueue:error:<code>`
    type: str
    title: str
    status: int
    detail: str
    code: ErrorCode


class Problem(_Problem, total=False):
    """RFC 9457."""

    #: In a 429: the name of the exceeded limit.
    limit: str
    #: In `too_much_stored` and `budget_exceeded`: the value of the exceeded limit.
    allowed: int
    #: In `too_much_stored` and `budget_exceeded`: the usage.
    used: int
    #: In a 402: the missing micro-credits.
    missing: int
    #: In `budget_exceeded`: the id of the budget.
    budget: str
    #: In `budget_exceeded`: the end of its period.
    resets_at: Time
    #: In `key_already_made`: the id of the existing key.
    key_id: str
    #: In `invalid_request`: the first twenty invalid fields.
    errors: list[FieldError]


class FieldError(TypedDict):
    """An error of one field of a request."""

    #: JSON pointer into the body, or a slash and the name of a query parameter.
    pointer: str
    #: Stable, snake_case.
    code: str
    detail: str
