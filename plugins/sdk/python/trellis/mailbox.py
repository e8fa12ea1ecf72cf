"""Connections without a socket, for clients that poll: frames wait in them until a request fetches
them. Needs `[needs.channels]`."""

from trellis._world import imported
from trellis.channels import RAISING, Frame

__all__ = ["open", "read"]

_wit = imported("trellis_streaming_mailboxes_0_1_0", "[needs.channels]")


def open(tag: str, idle_ms: int) -> int:
    """Open one, which ends when nobody has read it for so long, 1,000 to 600,000 ms. Its number is
    no secret: ask for one, from the tag, before somebody may read."""
    with RAISING:
        connection: int = _wit.open(tag, idle_ms)
        return connection


def read(connection: int, most: int, wait_ms: int) -> list[Frame] | None:
    """Take what waits; where nothing does, wait so long for the first frame. None: it has ended."""
    frames = _wit.read(connection, most, wait_ms)
    return None if frames is None else [frame.value for frame in frames]
