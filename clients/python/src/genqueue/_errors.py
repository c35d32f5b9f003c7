"""The errors that a client raises."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .types import FieldError, Job, Problem


class ApiError(Exception):
    """The service refused the request, or the response is not from this API (code ``unexpected_answer``)."""

    def __init__(self, problem: Problem, retry_after: float | None = None, idempotency_key: str | None = None) -> None:
        super().__init__(problem.get("detail") or problem["title"])
        #: Stable: https://datatracker.ietf.org/doc/html/rfc9457 documents with a ``code``, listed in docs/errors.md.
        self.code: str = problem["code"]
        #: HTTP status.
        self.status: int = problem["status"]
        self.problem = problem
        #: Invalid fields, by JSON pointer.
        self.errors: list[FieldError] = problem.get("errors", [])
        #: Seconds after which the same request may succeed, when the service says so.
        self.retry_after = retry_after
        #: Key of the submission that was refused: repeat it with the same key.
        self.idempotency_key = idempotency_key


class NetworkError(Exception):
    """No complete response arrived; the outcome is unknown. ``__cause__`` says why."""

    def __init__(self, base_url: str, idempotency_key: str | None = None) -> None:
        super().__init__(f"{base_url} cannot be reached, or its response broke off.")
        #: Key of the submission: repeating it with the same key is safe.
        self.idempotency_key = idempotency_key


class JobFailed(Exception):
    """``run`` waited for a job that failed or was canceled. ``code`` is that of docs/errors.md, or ``canceled``."""

    def __init__(self, job: Job) -> None:
        error = job["error"]
        super().__init__(error["message"] if error else f"The job was {job['status']}.")
        self.job = job
        self.code: str = error["code"] if error else job["status"]


def retry_after(text: str | None) -> float | None:
    """Seconds; the header contains seconds or a date (RFC 9110, 10.2.3)."""
    if text is None:
        return None
    try:
        seconds = float(text) if text.strip().isdigit() else parsedate_to_datetime(text).timestamp() - time.time()
    except (TypeError, ValueError):
        return None
    return max(0.0, seconds)
