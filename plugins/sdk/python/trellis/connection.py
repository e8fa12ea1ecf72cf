"""Connections that the host owns: websockets, event streams and streams.

    from trellis import channels, connection

    @connection.opened
    def enter(request: connection.Request) -> connection.Accepted:
        return connection.Accepted(join={"room": channels.Start(recent=10)})

    @connection.message
    def say(sender: connection.Sender, frame: channels.Frame) -> None:
        channels.publish("room", frame)

The routes are in `[connect]` of plugin.toml; hearing and sending needs `[needs.channels]`. An
exception in `message` or `closed` is logged and ends that connection with 1011.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from trellis import channels
from trellis._errors import Err
from trellis._world import exported
from trellis.channels import Frame, Start

__all__ = ["Accepted", "Refused", "Request", "Sender", "closed", "message", "opened"]

#: The code of a connection that ends because of a mistake here.
_FAILED = 1011


@dataclass
class Request:
    """Who knocks."""

    #: What the connection will be called if it is let in.
    connection: int
    #: `websocket`, `event-stream` or `stream`.
    transport: str
    host: str
    path: str
    #: Without the `?`, still encoded.
    query: str | None
    #: The route's parameters, decoded.
    params: dict[str, str]
    #: Names in lower case.
    headers: list[tuple[str, str]]
    client_ip: str
    #: Identifies the request in the log.
    id: str
    time_ms: int
    #: The subprotocols that a websocket offers, the most wanted first.
    protocols: list[str]
    #: The `last-event-id` of an event stream that comes back.
    last_event: int | None

    def header(self, name: str) -> str | None:
        """A header field, by its name in lower case; the first of several."""
        return next((value for key, value in self.headers if key == name), None)

    def query_value(self, name: str, default: str = "") -> str:
        """The first value of this name in the query, decoded."""
        pairs = parse_qsl(self.query or "", keep_blank_values=True)
        return next((value for key, value in pairs if key == name), default)


@dataclass
class Accepted:
    """How a connection is let in."""

    #: Comes with each event of the connection; at most 4,096 bytes.
    tag: str = ""
    #: The channels that it hears from the beginning.
    join: Mapping[str, Start] = field(default_factory=dict)
    #: What it gets before anything else.
    first: list[Frame] = field(default_factory=list)
    headers: list[tuple[str, str]] = field(default_factory=list)
    #: One of those that the websocket offers.
    protocol: str | None = None
    #: Put the channel's title among the bytes of a stream, after each so many.
    icy: int | None = None


@dataclass
class Refused:
    """Why it is not: an answer like any other."""

    status: int
    text: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Sender:
    """The connection that something happened on."""

    connection: int
    #: The last one given to it.
    tag: str


Opened = Callable[[Request], Accepted | Refused]
Message = Callable[[Sender, Frame], None]
Closed = Callable[[Sender, int, str], None]
_opened: Opened | None = None
_message: Message | None = None
_closed: Closed | None = None


def opened(function: Opened) -> Opened:
    """The function that decides about a connection. Until it returns nothing can be sent to it."""
    global _opened
    _opened = function
    return function


def message(function: Message) -> Message:
    """The function that gets what clients send."""
    global _message
    _message = function
    return function


def closed(function: Closed) -> Closed:
    """The function that is told, with code and reason, that a connection has ended."""
    global _closed
    _closed = function
    return function


def has_handler() -> bool:
    """Whether there is a function that lets connections in."""
    return _opened is not None


def decide(request: Any) -> Any:
    """One call of the host's `open`."""
    assert _opened is not None, "the entry has looked for it"
    try:
        answer = _opened(_request(request))
    except Exception:
        logging.exception("a connection was refused with 500")
        answer = Refused(500, "internal error")
    wit = exported("trellis_streaming_connection_handler_0_1_0")
    if isinstance(answer, Refused):
        text = ("content-type", "text/plain; charset=utf-8")
        raise Err(wit.Refused(answer.status, [*answer.headers, text], answer.text.encode()))
    join = [(name, channels.start_to_host(start)) for name, start in answer.join.items()]
    first = [channels.to_host(frame) for frame in answer.first]
    return wit.Accepted(answer.headers, answer.protocol, answer.tag, join, first, answer.icy)


def happened(events: list[Any]) -> None:
    """One call of the host's `events`."""
    for event in events:
        sender = Sender(event.connection, event.tag)
        try:
            _tell(sender, event.what)
        except Exception:
            logging.exception("connection %d is closed", sender.connection)
            channels.close(sender.connection, _FAILED, "internal error")


def _tell(sender: Sender, what: Any) -> None:
    if type(what).__name__ == "What_Message":
        if _message is not None:
            _message(sender, what.value.value)
    elif _closed is not None:
        _closed(sender, what.value.code, what.value.reason)


def _request(it: Any) -> Request:
    transport = it.transport.name.lower().replace("_", "-")
    return Request(
        it.connection, transport, it.host, it.path, it.query, dict(it.params), it.headers,
        it.client_ip, it.id, it.time_ms, it.protocols, it.last_event,
    )  # fmt: skip
