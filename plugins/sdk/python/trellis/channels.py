"""Named fan-outs of frames to the connections that joined. Needs `[needs.channels]` in plugin.toml.

    from trellis import channels

    channels.publish("room", "hello")       # text to all who joined; bytes are a binary frame

A connection is a number. Messages to one that has ended go nowhere, without an error. Within
`connection.message` and `connection.closed` everything happens once they have returned.
"""

from dataclasses import dataclass
from typing import Any

from trellis._errors import Error, Raising
from trellis._world import imported, types

__all__ = [
    "NORMAL", "POLICY", "ChannelError", "Frame", "Invalid", "Start", "TooMany", "Unavailable",
    "buffered", "close", "join", "leave", "listeners", "publish", "recent", "retag", "send", "tag",
    "title",
]  # fmt: skip

_wit = imported("trellis_streaming_channels_0_1_0", "[needs.channels]")

#: The code of a connection that ends because all is said, and of one that did what it may not.
NORMAL = 1000
POLICY = 1008

#: One message: text, or bytes.
Frame = str | bytes


class ChannelError(Error):
    """Why nothing was done."""


class Invalid(ChannelError):
    """A name, a frame or a tag is beyond the limits."""


class TooMany(ChannelError):
    """The plugin has as many channels as it may."""


class Unavailable(ChannelError):
    """What is shared with other hosts cannot be told them for now."""


RAISING = Raising(ChannelError, {kind.__name__: kind for kind in (Invalid, TooMany, Unavailable)})


@dataclass
class Start:
    """Where a connection begins in a channel: with the next frame, or with one of these."""

    #: Behind the frame with this number.
    after: int | None = None
    #: With the last so many frames.
    recent: int | None = None
    #: With the last frames that have so many bytes together at most.
    burst: int | None = None


def publish(channel: str, frame: Frame) -> None:
    """Hand a frame to all who joined, and keep it for those who come."""
    with RAISING:
        _wit.publish(channel, to_host(frame))


def join(connection: int, channel: str, start: Start | None = None) -> None:
    """Let a connection hear a channel; one that hears it already goes on as before."""
    with RAISING:
        _wit.join(connection, channel, start_to_host(start or Start()))


def leave(connection: int, channel: str) -> None:
    """Let it hear the channel no longer."""
    _wit.leave(connection, channel)


def send(connection: int, frame: Frame) -> None:
    """Send a frame to one connection."""
    with RAISING:
        _wit.send(connection, to_host(frame))


def close(connection: int, code: int = NORMAL, reason: str = "") -> None:
    """End a connection, behind what was sent to it before."""
    with RAISING:
        _wit.close(connection, code, reason)


def retag(connection: int, tag: str) -> None:
    """Replace what comes with each event of the connection; at most 4,096 bytes."""
    with RAISING:
        _wit.retag(connection, tag)


def tag(connection: int) -> str | None:
    """What was last given to a connection as its tag; None where it has ended."""
    found: str | None = _wit.tag(connection)
    return found


def buffered(connection: int) -> int:
    """Bytes that were sent to a connection and that it has not taken yet."""
    size: int = _wit.buffered(connection)
    return size


def title(channel: str, title: str) -> None:
    """What plays in a channel, for players that show it; at most 1,024 bytes."""
    with RAISING:
        _wit.title(channel, title)


def listeners(channel: str) -> int:
    """The connections of this host that hear a channel."""
    count: int = _wit.listeners(channel)
    return count


def recent(channel: str, most: int) -> list[Frame]:
    """The last frames that a channel keeps, the oldest first."""
    return [frame.value for frame in _wit.recent(channel, most)]


def to_host(frame: Frame) -> Any:
    """A frame as the bindings have it."""
    wit = types("trellis_streaming_types_0_1_0")
    return wit.Frame_Text(frame) if isinstance(frame, str) else wit.Frame_Binary(frame)


def start_to_host(start: Start) -> Any:
    """A start as the bindings have it."""
    wit = types("trellis_streaming_types_0_1_0")
    if start.after is not None:
        return wit.Start_After(start.after)
    if start.recent is not None:
        return wit.Start_Recent(start.recent)
    if start.burst is not None:
        return wit.Start_Burst(start.burst)
    return wit.Start_Next()
