"""Answering HTTP requests.

    from trellis import http

    @http.handler
    def answer(request: http.Request) -> http.Response:
        order = request.json()
        return http.Response.json({"id": order["id"]}, status=201)

The routes are in `[http]` of plugin.toml. Raise `http.Error(404, "no such order")` for an answer
that the client may read; any other exception is a 500, with its traceback in the log.
"""

import json as _json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from trellis._wire import VERSION, Malformed, Reader, prefixed, u16, u32

__all__ = ["Error", "Headers", "Request", "Response", "handler"]


class Error(Exception):
    """An answer with this status and a text that the client may read."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status
        self.text = text


class Headers(Mapping[str, str]):
    """Header fields by their names in any case, the first of several with one name."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        #: All fields in the order of arrival, names in lower case.
        self.pairs = pairs

    def __getitem__(self, name: str) -> str:
        name = name.lower()
        for key, value in self.pairs:
            if key == name:
                return value
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for name, _ in self.pairs))

    def __len__(self) -> int:
        return len({name for name, _ in self.pairs})


class Request:
    """A request that has been read completely. What is behind the head's fixed fields is read when
    it is asked for."""

    __slots__ = (
        "_header_count", "_headers", "_param_count", "_params", "_rest", "body", "client_ip",
        "host", "id", "method", "path", "query", "scheme", "time_ms",
    )  # fmt: skip

    def __init__(self, head: bytes, body: bytes) -> None:
        reader = Reader(head)
        reader.version()
        flags = reader.u8("flags")
        self._param_count = reader.u16("number of params")
        self._header_count = reader.u32("number of headers")
        #: `http` or `https`, as the client used it.
        self.scheme = "https" if flags & 1 else "http"
        #: When the host had read the head, in milliseconds since 1970 UTC.
        self.time_ms = reader.u64("time")
        #: In upper case.
        self.method = reader.text("method")
        #: Without a port, in lower case.
        self.host = reader.text("host")
        #: As it was sent, percent-encoded.
        self.path = reader.text("path")
        query = reader.text("query")
        #: What follows `?`, still encoded; None without one.
        self.query = query if flags & 2 else None
        #: The address of the client, also behind a trusted proxy.
        self.client_ip = reader.text("client ip")
        #: Identifies the request in the log.
        self.id = reader.text("request id")
        #: The whole body.
        self.body = body
        self._rest = reader
        self._params: dict[str, str] | None = None
        self._headers: Headers | None = None

    @property
    def params(self) -> dict[str, str]:
        """What the route's `{name}` parts matched, decoded."""
        if self._params is None:
            pairs = [(self._rest.text("name"), self._rest.text("value")) for _ in range(self._param_count)]
            self._params = dict(pairs)
        return self._params

    @property
    def headers(self) -> Headers:
        """The header fields."""
        if self._headers is None:
            # They lie behind the parameters.
            _ = self.params
            rest = self._rest
            pairs = [(rest.text("name"), rest.text("value")) for _ in range(self._header_count)]
            self._headers = Headers(pairs)
        return self._headers

    def query_pairs(self) -> list[tuple[str, str]]:
        """The decoded pairs of the query."""
        return parse_qsl(self.query or "", keep_blank_values=True)

    def query_value(self, name: str, default: str = "") -> str:
        """The first value of this name in the query, decoded."""
        return next((value for key, value in self.query_pairs() if key == name), default)

    def form(self) -> list[tuple[str, str]]:
        """The decoded pairs of a form in the body."""
        return parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)

    def json(self) -> Any:
        """The body read as JSON; what is none is a 400 that says where."""
        try:
            return _json.loads(self.body)
        except ValueError as error:
            raise Error(400, f"the body is not JSON: {error}") from error


@dataclass
class Response:
    """An answer. The host adds `date`, `content-length` and `x-request-id`."""

    #: 200 to 599.
    status: int = 200
    body: bytes = b""
    #: A mapping, or pairs where names repeat.
    headers: Mapping[str, str] | list[tuple[str, str]] = field(default_factory=list)

    def header(self, name: str, value: str) -> "Response":
        """The same with one more header field."""
        return Response(self.status, self.body, [*_pairs(self.headers), (name, value)])

    @staticmethod
    def of(content_type: str, body: bytes, status: int = 200) -> "Response":
        """These bytes with their media type."""
        return Response(status, body, [("content-type", content_type)])

    @staticmethod
    def text(text: str, status: int = 200) -> "Response":
        """Plain text."""
        return Response.of("text/plain; charset=utf-8", text.encode(), status)

    @staticmethod
    def html(page: str, status: int = 200) -> "Response":
        """A page."""
        return Response.of("text/html; charset=utf-8", page.encode(), status)

    @staticmethod
    def json(value: Any, status: int = 200) -> "Response":
        """A value as JSON. Raises TypeError for one that cannot be written so."""
        text = _json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return Response.of("application/json", text.encode(), status)

    @staticmethod
    def blob(container: str, key: str) -> "Response":
        """A blob of the plugin's own, which the host sends: ranges, conditions and 404 too."""
        return Response(headers=[("x-trellis-blob", f"{container}/{key}")])

    @staticmethod
    def channel(name: str, start: str = "next", content_type: str = "text/event-stream") -> "Response":
        """The frames of a channel, which the host sends for as long as the client listens.

        `start`: `next`, `recent=10` frames, `burst=65536` bytes or `after=17`.
        """
        pairs = [("content-type", content_type), ("x-trellis-channel", name), ("x-trellis-start", start)]
        return Response(headers=pairs)


Handler = Callable[[Request], Response]
_handler: Handler | None = None


def handler(function: Handler) -> Handler:
    """The function that answers this plugin's requests."""
    global _handler
    if _handler is not None:
        raise RuntimeError("there are two functions with `@http.handler`; keep one")
    _handler = function
    return function


def has_handler() -> bool:
    """Whether there is a function that answers."""
    return _handler is not None


def answer(head: bytes, body: bytes) -> tuple[bytes, bytes]:
    """One call of the packed handler."""
    try:
        assert _handler is not None, "the entry has looked for it"
        return packed(_handler(Request(head, body)))
    except Error as error:
        return packed(Response.text(error.text, error.status))
    except Malformed as error:
        logging.error("the request cannot be read: %s", error)
    except Exception:
        logging.exception("the request was answered with 500")
    return packed(Response.text("internal error", 500))


def packed(response: Response) -> tuple[bytes, bytes]:
    """The head and the body as `trellis:http/packed-handler` describes them."""
    if not isinstance(response, Response):
        raise TypeError(f"the handler returned {response!r}, not a Response")
    pairs = _pairs(response.headers)
    head = [bytes((VERSION, 0)), u16(response.status), u32(len(pairs))]
    for name, value in pairs:
        head += (prefixed(name.encode()), prefixed(value.encode()))
    return b"".join(head), response.body


def _pairs(headers: Mapping[str, str] | list[tuple[str, str]]) -> list[tuple[str, str]]:
    return headers if isinstance(headers, list) else list(headers.items())
