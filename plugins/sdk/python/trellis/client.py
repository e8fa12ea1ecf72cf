"""Asking other hosts.

    from trellis import client

    answer = client.get("https://example.org/data.json", headers={"accept": "application/json"})
    answer.raise_for_status()
    data = answer.json()

The hosts are in `[needs.http]` of plugin.toml. A redirect is an answer like any other.
"""

import json as _json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from trellis._errors import Error, Raising
from trellis._world import imported

__all__ = [
    "ClientError", "Invalid", "NotGranted", "Request", "Response", "Status", "Timeout",
    "TooLarge", "Unavailable", "get", "post", "send", "send_all",
]  # fmt: skip

_wit = imported("trellis_http_client_0_1_0", "[needs.http] with `hosts`")

#: The most requests that one call of the host sends.
_AT_ONCE = 64


class ClientError(Error):
    """Why there is no answer, or none of use."""


class Invalid(ClientError):
    """The request cannot be sent by anybody: a broken URL, method or header."""


class NotGranted(ClientError):
    """The host is not in `[needs.http]` or not granted, or its address is a private one."""


class Timeout(ClientError):
    """The answer took too long."""


class TooLarge(ClientError):
    """The request or the answer is larger than it may be."""


class Unavailable(ClientError):
    """The connection failed, or there are too many already; later it may work."""


class Status(ClientError):
    """An answer whose status is not 2xx, for those who want none else."""

    def __init__(self, url: str, status: int) -> None:
        super().__init__(f"{url} answered with {status}")
        self.status = status


_RAISING = Raising(
    ClientError, {kind.__name__: kind for kind in (Invalid, NotGranted, Timeout, TooLarge, Unavailable)}
)


@dataclass
class Request:
    """A request to another host."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    #: The longest wait for the whole answer; without it what is left of `[limits] timeout`.
    timeout_ms: int | None = None


@dataclass
class Response:
    """Its answer, whatever its status."""

    url: str
    status: int
    #: In the order of arrival, names in lower case.
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first header field of this name, in lower case."""
        return next((value for key, value in self.headers if key == name), None)

    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body read as JSON. Raises ValueError for one that is none."""
        return _json.loads(self.body)

    def raise_for_status(self) -> "Response":
        """The answer itself; raises Status unless it is 2xx."""
        if not 200 <= self.status < 300:
            raise Status(self.url, self.status)
        return self


def get(url: str, headers: Mapping[str, str] | None = None, timeout_ms: int | None = None) -> Response:
    """Ask for what is there."""
    return send(Request("GET", url, headers or {}, timeout_ms=timeout_ms))


def post(
    url: str, json: Any, headers: Mapping[str, str] | None = None, timeout_ms: int | None = None
) -> Response:
    """Hand a value over as JSON."""
    body = _json.dumps(json, ensure_ascii=False, separators=(",", ":")).encode()
    headers = {"content-type": "application/json", **(headers or {})}
    return send(Request("POST", url, headers, body, timeout_ms))


def send(request: Request) -> Response:
    """Send a request and wait for its answer. Raises a ClientError where there is none."""
    with _RAISING:
        answer = _wit.send(_to_host(request))
    return _from_host(request, answer)


def send_all(requests: Iterable[Request]) -> list[Response | ClientError]:
    """Send requests, 64 at a time, and wait for all: an answer or an error for each, in order."""
    wanted = list(requests)
    answers: list[Response | ClientError] = []
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        for request, result in zip(some, _wit.send_all([_to_host(it) for it in some]), strict=True):
            answers.append(_answer(request, result))
    return answers


def _answer(request: Request, result: Any) -> Response | ClientError:
    """A result among others: here the host's failure is a value, and nothing is raised."""
    if type(result).__name__ == "Err":
        error = _RAISING.exception(result.value)
        return error if isinstance(error, ClientError) else ClientError(str(error))
    return _from_host(request, result.value)


def _to_host(request: Request) -> Any:
    return _wit.Request(
        request.method, request.url, list(request.headers.items()), request.body, request.timeout_ms
    )


def _from_host(request: Request, answer: Any) -> Response:
    return Response(request.url, answer.status, answer.headers, answer.body)
