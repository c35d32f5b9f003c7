"""Requests to one service, with credentials, timeouts and retries."""

from __future__ import annotations

import http.client
import json
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import IO, TYPE_CHECKING, Any, TypeVar

from ._errors import ApiError, NetworkError, retry_after
from ._files import Body

if TYPE_CHECKING:
    from .types import Problem

T = TypeVar("T")

#: Statuses of a proxy, a full queue or a restart, which a retry can resolve.
_WORTH_REPEATING = {429, 502, 503, 504}
_FIRST_DELAY = 0.25
_LONGEST_DELAY = 8.0
#: Seconds. A longer Retry-After is left to the caller.
_LONGEST_RETRY_AFTER = 60.0

#: What breaks off a request or its response.
NETWORK_ERRORS = (OSError, http.client.HTTPException)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer that is not from this API: following it could carry the key elsewhere."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


class Transport:
    def __init__(self, base_url: str, key: str | None, timeout: float, attempts: int) -> None:
        self.base = base_url.rstrip("/")
        self.attempts = attempts
        self.timeout = timeout
        self._key = key
        self._opener = urllib.request.build_opener(_NoRedirects)

    def open(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | Body | None = None,
        timeout: float | None = None,
    ) -> http.client.HTTPResponse:
        """One request. Raises ApiError when it is refused, and one of NETWORK_ERRORS when no response arrives."""
        url = path if "://" in path else self.base + path
        all_headers = {"accept": "application/json, */*", **(headers or {})}
        # Links can lead to a bucket, which gets no key.
        if self._key and url.startswith(self.base + "/"):
            all_headers["authorization"] = f"Bearer {self._key}"
        data = body.chunks() if isinstance(body, Body) else body
        request = urllib.request.Request(url, data=data, headers=all_headers, method=method)
        try:
            response = self._opener.open(request, timeout=self.timeout if timeout is None else timeout)
        except urllib.error.HTTPError as error:
            with error:
                raise _problem(error.code, error.headers.get("retry-after"), error) from None
        assert isinstance(response, http.client.HTTPResponse)
        return response

    def request(
        self,
        method: str,
        path: str,
        read: Callable[[http.client.HTTPResponse], T],
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | Body | None = None,
        timeout: float | None = None,
        deadline: float | None = None,
        attempts: int | None = None,
    ) -> T:
        """
        Reads the complete response, with retries while they are safe and can help. ``deadline`` is a ``time.monotonic()``
        after which it raises TimeoutError.
        """
        key = (headers or {}).get("idempotency-key")
        repeatable = method == "GET" or key is not None or (isinstance(body, Body) and body.repeatable)
        left = (attempts or self.attempts) if repeatable else 1
        delay = _FIRST_DELAY
        while True:
            limit = self.timeout if timeout is None else timeout
            if deadline is not None:
                limit = min(limit, time_left(deadline))
            left -= 1
            try:
                with self.open(method, path, headers=headers, body=body, timeout=limit) as response:
                    return read(response)
            except ApiError as error:
                error.idempotency_key = key
                asked = error.retry_after or 0.0
                if left == 0 or error.status not in _WORTH_REPEATING or asked > _LONGEST_RETRY_AFTER:
                    raise
            except NETWORK_ERRORS as error:
                asked = 0.0
                if left == 0 and (deadline is None or time.monotonic() < deadline):
                    raise NetworkError(self.base, key) from error
            # Jitter, because many clients get the same time.
            pause = asked + delay * random.uniform(0.5, 1.0)
            if deadline is not None:
                pause = min(pause, max(0.0, deadline - time.monotonic()))
            time.sleep(pause)
            delay = min(delay * 2, _LONGEST_DELAY)


def time_left(deadline: float) -> float:
    """Seconds until a ``time.monotonic()``; raises TimeoutError when it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("The time for waiting is over; the job continues.")
    return left


def read_json(response: IO[bytes]) -> Any:
    """The parsed body; None when it is empty, as with 204."""
    text = response.read()
    try:
        return json.loads(text) if text else None
    except ValueError:
        status = getattr(response, "status", 0)
        detail = "The response is not JSON. Check that this is the address of genqueue."
        raise ApiError(_unexpected(status, detail)) from None


def _problem(status: int, after: str | None, body: IO[bytes]) -> ApiError:
    try:
        parsed = json.loads(body.read())
    except (*NETWORK_ERRORS, ValueError):
        parsed = None
    problem = _unexpected(status, f"The service returned {status} without a reason.")
    if isinstance(parsed, dict) and isinstance(parsed.get("code"), str):
        problem = {**problem, **parsed, "status": status}
    return ApiError(problem, retry_after(after))


def _unexpected(status: int, detail: str) -> Problem:
    return {
        "type": "about:blank",
        "title": f"HTTP {status}",
        "status": status,
        "code": "unexpected_answer",
        "detail": detail,
    }
