"""A protocol of your own over TCP: an instance of the plugin for each connection.

    from trellis import socket

    @socket.protocol
    class Echo(socket.Socket):
        def data(self, data: bytes) -> socket.Reply:
            return socket.Reply(data)

Where it listens is in `[[listen]]` of plugin.toml.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

from trellis._errors import Err
from trellis._world import exported

__all__ = ["Arrival", "Reply", "Socket", "protocol"]


@dataclass
class Arrival:
    """Who came."""

    connection: int
    #: The `name` of the `[[listen]]` table.
    listener: str
    client_ip: str
    client_port: int
    time_ms: int


@dataclass
class Reply:
    """What is to happen; without anything, nothing."""

    #: Bytes for the client.
    send: bytes = b""
    #: Call `drained` once the system has taken all bytes.
    tell_drained: bool = False
    #: Call `woken` so many milliseconds from now.
    wake_ms: int | None = None
    #: Close the connection once all has been sent, for this reason.
    close: str | None = None


class Socket:
    """One connection. Its attributes are its state; each method may be left out."""

    def open(self, arrival: Arrival) -> Reply:
        """A client has come."""
        return Reply()

    def data(self, data: bytes) -> Reply:
        """The client sent bytes, at most 64 KiB at a time, cut anywhere."""
        return Reply()

    def drained(self) -> Reply:
        """All that was sent has been taken, which a reply asked to be told."""
        return Reply()

    def woken(self) -> Reply:
        """The time has come that a reply asked for."""
        return Reply()

    def closed(self, reason: str) -> None:
        """The connection has ended, whoever ended it."""

    def save(self) -> bytes | None:
        """What the next version of the plugin has to know to go on. None: it stays with this one."""
        return None

    def restore(self, arrival: Arrival, saved: bytes) -> Reply:
        """Go on with what an earlier version saved. An exception leaves it with that version."""
        raise NotImplementedError("it goes on with nothing that was saved")


S = TypeVar("S", bound=Socket)
_protocol: type[Socket] | None = None
_connection: Socket | None = None


def protocol(kind: type[S]) -> type[S]:
    """The class whose instances speak with clients."""
    global _protocol
    _protocol = kind
    return kind


def has_handler() -> bool:
    """Whether there is such a class."""
    return _protocol is not None


def _begin() -> Socket:
    global _connection
    assert _protocol is not None, "the entry has looked for it"
    _connection = _protocol()
    return _connection


def _current() -> Socket:
    assert _connection is not None, "the host opens a connection before anything else"
    return _connection


def _to_host(reply: Reply) -> Any:
    wit = exported("trellis_streaming_socket_handler_0_1_0")
    return wit.Reply(reply.send, reply.tell_drained, reply.wake_ms, reply.close)


def _arrival(it: Any) -> Arrival:
    return Arrival(it.connection, it.listener, it.client_ip, it.client_port, it.time_ms)


class Export:
    """The host's calls."""

    def open(self, arrival: Any) -> Any:
        return _to_host(_begin().open(_arrival(arrival)))

    def data(self, bytes: bytes) -> Any:
        return _to_host(_current().data(bytes))

    def drained(self) -> Any:
        return _to_host(_current().drained())

    def woken(self) -> Any:
        return _to_host(_current().woken())

    def closed(self, reason: str) -> None:
        _current().closed(reason)

    def save(self) -> bytes | None:
        return _current().save()

    def restore(self, arrival: Any, saved: bytes) -> Any:
        try:
            return _to_host(_begin().restore(_arrival(arrival), saved))
        except Exception as error:
            raise Err(f"{type(error).__name__}: {error}") from None
