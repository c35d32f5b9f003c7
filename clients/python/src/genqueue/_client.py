"""The client."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, TypeVar, cast, overload
from urllib.parse import quote, urlencode

from ._errors import ApiError, JobFailed
from ._events import Event, parse_events
from ._files import Body, FileLike, replace_files
from ._transport import NETWORK_ERRORS, Transport, read_json, time_left

if TYPE_CHECKING:
    from .types import (
        Artifact,
        Batch,
        BatchPage,
        Credits,
        Job,
        JobLogs,
        JobPage,
        JobStatus,
        ManifestLine,
        Model,
        Preset,
        ReadToken,
        Upload,
    )

T = TypeVar("T")

_DEFAULT_URL = "http://127.0.0.1:3000"
#: Seconds: one request waits that long for a completion, and its response must arrive soon after.
_LONG_POLL = 60
_LONG_POLL_TIMEOUT = 75.0
#: Long enough to survive a restart of the service.
_LONG_POLL_ATTEMPTS = 12
_TRANSFER_TIMEOUT = 300.0
#: Seconds: the service sends a comment at least this often; a silent connection counts as broken.
_SILENCE = 45.0
_FIRST_RETRY = 0.5
_LAST_RETRY = 8.0
_CHUNK = 64 * 1024
_UPLOAD = re.compile(r"/v1/uploads/upl_[0-9A-Z]{26}")


def is_final(job: Job) -> bool:
    """Whether a job has succeeded, failed or been canceled."""
    return job["status"] in ("succeeded", "failed", "canceled")


def is_complete(batch: Batch) -> bool:
    """Whether all jobs of a batch are final."""
    return batch["completed_at"] is not None


class Client:
    """
    The API of one genqueue service.

    ``base_url`` and ``key`` default to ``GENQUEUE_URL`` and ``GENQUEUE_API_KEY``. ``timeout`` limits an attempt in seconds,
    long polls and transfers have their own; ``attempts`` limits how often a request is sent when repeating it is safe.

    Methods raise ``ApiError`` when the service refused and ``NetworkError`` when no response arrived. Links in answers are
    absolute. A client holds no connection and can be shared by threads.
    """

    def __init__(
        self,
        base_url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = 30.0,
        attempts: int = 4,
    ) -> None:
        url = base_url or os.environ.get("GENQUEUE_URL") or _DEFAULT_URL
        if not re.match(r"https?://", url):
            raise ValueError(f'base_url: read "{url}", expected an address such as {_DEFAULT_URL}')
        self._transport = Transport(url, key or os.environ.get("GENQUEUE_API_KEY"), timeout, attempts)

    # Jobs

    def submit(
        self,
        *,
        input: Mapping[str, Any],
        idempotency_key: str | None = None,
        **fields: Any,
    ) -> Job:
        """
        Submits a job: ``preset``, ``model``, ``version`` or ``deployment`` says what runs; the other fields are those of
        ``genqueue.types.JobRequest``. Paths, bytes and open files anywhere in ``input`` are uploaded first. With the same
        ``idempotency_key``, which is made when absent, the same job is returned.
        """
        body = {**fields, "input": self._prepared(input, {})}
        return self._job(self._submit("/v1/jobs", body, idempotency_key))

    def run(
        self,
        *,
        input: Mapping[str, Any],
        idempotency_key: str | None = None,
        wait_timeout: float | None = None,
        **fields: Any,
    ) -> Job:
        """
        Submits a job and waits for it. Raises ``JobFailed`` if it failed or was canceled, and ``TimeoutError`` after
        ``wait_timeout`` seconds, while the job continues. (``timeout`` is the job's own, a field of the request.)
        """
        job = self.submit(input=input, idempotency_key=idempotency_key, **fields)
        done = job if is_final(job) else self.wait(job["id"], timeout=wait_timeout)
        if done["status"] != "succeeded":
            raise JobFailed(done)
        return done

    def get(self, id: str) -> Job:
        return self._job(self._read(_job_path(id)))

    def wait(self, id: str, *, timeout: float | None = None) -> Job:
        """The job once it is final, with any status, over lost connections and restarts of the service."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            asked = time.monotonic()
            left = _LONG_POLL if deadline is None else deadline - asked
            job: Job = self._transport.request(
                "GET",
                f"{_job_path(id)}?wait={max(1, min(_LONG_POLL, int(left)))}",
                read_json,
                timeout=_LONG_POLL_TIMEOUT,
                deadline=deadline,
                attempts=1 if self._transport.attempts == 1 else _LONG_POLL_ATTEMPTS,
            )
            if is_final(job):
                return self._job(job)
            # An intermediary that responds at once must not cause a request storm.
            if time.monotonic() - asked < 1:
                time.sleep(1)

    def events(self, id: str) -> Iterator[Job]:
        """The states of a job until it is final, over lost connections."""
        for event, _ in self._follow(f"{_job_path(id)}/events", None):
            if event.type == "job":
                job: Job = self._job(json.loads(event.data))
                yield job
                if is_final(job):
                    return

    def changes(self, since: str | None = None) -> Iterator[tuple[str | None, Job | None]]:
        """
        Every change of every job of the tenant, without end: the id of the event, which a later call takes as ``since``, and
        the job. The job is None when changes were missed: read the list again.
        """
        for event, id in self._follow("/v1/events", since):
            if event.type == "job":
                yield id, self._job(json.loads(event.data))
            elif event.type == "reset":
                yield id, None

    def list_jobs(
        self,
        *,
        status: JobStatus | None = None,
        preset: str | None = None,
        batch: str | None = None,
        user: str | None = None,
        prediction_id: str | None = None,
        metadata: Mapping[str, str | int | float | bool] | None = None,
        created_after: datetime | str | None = None,
        created_before: datetime | str | None = None,
        limit: int | None = None,
    ) -> Iterator[Job]:
        """The jobs with all of these properties, newest first; ``limit`` of them at most. Pages are read as they are needed."""
        query = {
            "status": status,
            "preset": preset,
            "batch": batch,
            "user": user,
            "prediction_id": prediction_id,
            "created_after": _time(created_after),
            "created_before": _time(created_before),
            **{f"metadata.{name}": _text(value) for name, value in (metadata or {}).items()},
        }
        return self._pages("/v1/jobs", query, limit, self._job)

    def cancel(self, id: str) -> Job:
        return self._job(self._post(f"{_job_path(id)}/cancel"))

    def retry(self, id: str, *, pinned: bool = False, idempotency_key: str | None = None) -> Job:
        """
        Submits a copy of a job, which must be final; ``pinned``: with the version that ran and the seed, where they are known.
        """
        body = {"pinned": True} if pinned else None
        return self._job(self._submit(f"{_job_path(id)}/retry", body, idempotency_key))

    def delete(self, id: str) -> None:
        """Deletes a final job with its files before its retention ends."""
        self._transport.request("DELETE", _job_path(id), read_json)

    def logs(self, id: str) -> JobLogs:
        """Logs of the model, as long as Replicate keeps them."""
        return cast("JobLogs", self._read(f"{_job_path(id)}/logs"))

    def job_token(self, id: str, *, expires_in: int | None = None) -> ReadToken:
        """ReadToken with which a browser can watch this job without a key; ``expires_in`` in seconds."""
        return cast("ReadToken", self._post(f"{_job_path(id)}/token", _given(expires_in=expires_in)))

    # Batches

    def batch(
        self,
        *,
        items: Iterable[Mapping[str, Any]],
        defaults: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        **fields: Any,
    ) -> Batch:
        """
        Submits a set of jobs: all are accepted, or none. The fields are those of ``genqueue.types.BatchRequest``; an item has
        those of a job. A file that stands in several inputs is uploaded once.
        """
        links: dict[int, str] = {}
        body: dict[str, Any] = {**fields, "items": [self._prepared_item(item, links) for item in items]}
        if defaults is not None:
            body["defaults"] = self._prepared_item(defaults, links)
        return cast("Batch", self._submit("/v1/batches", body, idempotency_key))

    def get_batch(self, id: str) -> Batch:
        return cast("Batch", self._read(_batch_path(id)))

    def wait_batch(self, id: str, *, timeout: float | None = None) -> Batch:
        """The batch once it is complete, over lost connections and restarts of the service."""
        deadline = None if timeout is None else time.monotonic() + timeout
        for batch in self._batch_events(id, deadline):
            last = batch
        return last

    def batch_events(self, id: str) -> Iterator[Batch]:
        """The states of a batch until it is complete."""
        return self._batch_events(id, None)

    def list_batches(self, *, limit: int | None = None) -> Iterator[Batch]:
        """Newest first."""
        return self._pages("/v1/batches", {}, limit, lambda batch: cast("Batch", batch))

    def batch_jobs(self, id: str, *, limit: int | None = None) -> Iterator[Job]:
        """By position."""
        return self._pages(f"{_batch_path(id)}/jobs", {}, limit, self._job)

    def batch_manifest(self, id: str) -> Iterator[ManifestLine]:
        """The results of all jobs, by position."""
        text = self._transport.request("GET", f"{_batch_path(id)}/manifest", lambda response: response.read())
        return (cast("ManifestLine", self._job(json.loads(line))) for line in text.splitlines() if line)

    def cancel_batch(self, id: str) -> Batch:
        return cast("Batch", self._post(f"{_batch_path(id)}/cancel"))

    def retry_batch(self, id: str, *, idempotency_key: str | None = None) -> Batch:
        """Submits the jobs of a batch that did not succeed as a new batch; the old one must be complete."""
        return cast("Batch", self._submit(f"{_batch_path(id)}/retry-failed", None, idempotency_key))

    def batch_token(self, id: str, *, expires_in: int | None = None) -> ReadToken:
        """ReadToken with which a browser can watch this batch and its jobs without a key; ``expires_in`` in seconds."""
        return cast("ReadToken", self._post(f"{_batch_path(id)}/token", _given(expires_in=expires_in)))

    # Files

    def upload(self, file: FileLike) -> Upload:
        """Uploads a file for inputs, which name it by its ``url``. ``submit`` does this for the files in an input."""
        body = Body.of(file)
        headers = {"content-type": body.content_type}
        return cast(
            "Upload",
            self._transport.request(
                "POST", "/v1/uploads", read_json, headers=headers, body=body, timeout=_TRANSFER_TIMEOUT
            ),
        )

    @overload
    def download(self, file: Artifact | Upload | str) -> bytes: ...
    @overload
    def download(self, file: Artifact | Upload | str, to: str | os.PathLike[str]) -> Path: ...
    def download(self, file: Artifact | Upload | str, to: str | os.PathLike[str] | None = None) -> bytes | Path:
        """
        The bytes of a stored file, by its artifact or link; with ``to`` they go to that file, or under the file's own name
        into that folder, where they appear when they are complete. Raises ``ValueError`` if they do not match ``sha256``.
        """
        url = file if isinstance(file, str) else file["url"]
        digest = None if isinstance(file, str) else file.get("sha256")
        if to is None:
            content = self._transport.request("GET", url, lambda response: response.read(), timeout=_TRANSFER_TIMEOUT)
            _check(hashlib.sha256(content), digest)
            return content
        target = Path(to)
        if target.is_dir():
            target /= _file_name(file)
        self._transport.request("GET", url, lambda response: _save(response, target, digest), timeout=_TRANSFER_TIMEOUT)
        return target

    # The service

    def presets(self) -> list[Preset]:
        return cast("list[Preset]", self._read("/v1/presets")["data"])

    def models(self) -> list[Model]:
        return cast("list[Model]", self._read("/v1/models")["data"])

    def credits(self) -> Credits:
        """Account of the tenant."""
        return cast("Credits", self._read("/v1/credits"))

    # Inside

    def _batch_events(self, id: str, deadline: float | None) -> Iterator[Batch]:
        for event, _ in self._follow(f"{_batch_path(id)}/events", None, deadline):
            if event.type == "batch":
                batch: Batch = json.loads(event.data)
                yield batch
                if is_complete(batch):
                    return

    def _read(self, path: str) -> Any:
        return self._transport.request("GET", path, read_json)

    def _post(self, path: str, body: object = None) -> Any:
        return self._transport.request("POST", path, read_json, **_json(body))

    def _submit(self, path: str, body: object, key: str | None) -> Any:
        headers = {"idempotency-key": key or secrets.token_hex(16)}
        return self._transport.request("POST", path, read_json, **_json(body, headers))

    def _follow(
        self, path: str, last_id: str | None, deadline: float | None = None
    ) -> Iterator[tuple[Event, str | None]]:
        """
        Events with the newest id, over lost connections; ends when the caller leaves, or with what the service refuses.
        ``deadline`` as in ``Transport.request``; it is noticed at the next event or heartbeat.
        """
        retry = _FIRST_RETRY
        while True:
            asked = 0.0
            timeout = _SILENCE if deadline is None else min(_SILENCE, time_left(deadline))
            headers = {"accept": "text/event-stream", **({"last-event-id": last_id} if last_id else {})}
            try:
                response = self._transport.open("GET", path, headers=headers, timeout=timeout)
            except ApiError as error:
                if error.status < 500 and error.status != 429:
                    raise
                asked = min(error.retry_after or 0.0, 60.0)
            except NETWORK_ERRORS:
                pass
            else:
                with response:
                    retry = _FIRST_RETRY
                    events = parse_events(_arriving(response))
                    while True:
                        try:
                            event = next(events, None)
                        except NETWORK_ERRORS:
                            break
                        if event is None:
                            break
                        last_id = event.id or last_id
                        if event.data:
                            yield event, last_id
                        if deadline is not None:
                            time_left(deadline)
            time.sleep(max(retry, asked) if deadline is None else min(max(retry, asked), time_left(deadline)))
            retry = min(retry * 2, _LAST_RETRY)

    def _pages(
        self, path: str, query: Mapping[str, str | None], limit: int | None, read: Callable[[Any], T]
    ) -> Iterator[T]:
        left = limit
        cursor: str | None = None
        while left is None or left > 0:
            size = 100 if left is None else min(100, left)
            page: JobPage | BatchPage = self._read(_with_query(path, {**query, "limit": str(size), "cursor": cursor}))
            for item in page["data"]:
                yield read(item)
            if left is not None:
                left -= len(page["data"])
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _prepared_item(self, item: Mapping[str, Any], links: dict[int, str]) -> dict[str, Any]:
        return {**item, **({"input": self._prepared(item["input"], links)} if "input" in item else {})}

    def _prepared(self, input: Mapping[str, Any], links: dict[int, str]) -> Any:
        """``links``: of the files that were uploaded, by identity."""

        def link_of(file: FileLike) -> str:
            if id(file) not in links:
                links[id(file)] = self.upload(file)["url"]
            return links[id(file)]

        base = self._transport.base

        def of_text(text: str) -> str:
            # The link of an upload, as the service knows it.
            return text[len(base) :] if text.startswith(base) and _UPLOAD.fullmatch(text[len(base) :]) else text

        return replace_files(input, link_of, of_text)

    def _job(self, job: Any) -> Job:
        """With absolute links. The files of an output are those of its artifacts: any other text stays as it is."""
        base = self._transport.base

        def absolute(link: str) -> str:
            return base + link if link.startswith("/") else link

        artifacts = job.get("artifacts", [])
        links = {artifact["url"] for artifact in artifacts}
        for artifact in artifacts:
            artifact["url"] = absolute(artifact["url"])
            if artifact.get("thumbnail_url"):
                artifact["thumbnail_url"] = absolute(artifact["thumbnail_url"])
        if "output" in job:
            job["output"] = _map_texts(job["output"], lambda text: absolute(text) if text in links else text)
        if "input" in job:
            job["input"] = _map_texts(job["input"], lambda text: absolute(text) if _UPLOAD.fullmatch(text) else text)
        return cast("Job", job)


def _job_path(id: str) -> str:
    return f"/v1/jobs/{quote(id, safe='')}"


def _batch_path(id: str) -> str:
    return f"/v1/batches/{quote(id, safe='')}"


def _json(body: object, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Arguments of a request with this body; None: without a body."""
    if body is None:
        return {"headers": headers}
    return {"headers": {"content-type": "application/json", **(headers or {})}, "body": json.dumps(body).encode()}


def _given(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _with_query(path: str, query: Mapping[str, str | None]) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def _time(value: datetime | str | None) -> str | None:
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        raise ValueError("A time without a time zone is ambiguous: use datetime.now(timezone.utc) or .astimezone().")
    return value.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _text(value: str | float | bool) -> str:
    """As the service writes it."""
    return value if isinstance(value, str) else json.dumps(value)


def _map_texts(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_map_texts(item, change) for item in value]
    if isinstance(value, dict):
        return {key: _map_texts(item, change) for key, item in value.items()}
    return value


def _file_name(file: Artifact | Upload | str) -> str:
    """A name without folders."""
    name = "" if isinstance(file, str) else Path(str(file.get("name") or "")).name
    url = file if isinstance(file, str) else file["url"]
    return name or Path(url.partition("?")[0]).name or "file"


def _arriving(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Pieces of a body as they arrive."""
    return iter(lambda: response.read1(_CHUNK), b"")


def _check(content: Any, digest: str | None) -> None:
    if digest is not None and content.hexdigest() != digest:
        raise ValueError(f"The file arrived with SHA-256 {content.hexdigest()}, expected {digest}.")


def _save(response: Any, target: Path, digest: str | None) -> None:
    """Writes beside the target and moves the file there when it is complete."""
    content = hashlib.sha256()
    part = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")
    try:
        with open(part, "xb") as file:
            for chunk in iter(lambda: response.read(_CHUNK), b""):
                content.update(chunk)
                file.write(chunk)
        # Reading in pieces does not notice a body that breaks off.
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
        _check(content, digest)
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
