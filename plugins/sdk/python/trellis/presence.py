"""Who is here: connections that are shown in a channel, with what others may know of them. Needs
`[needs.channels]`. Showing does not tell anybody: publish what your clients understand."""

from dataclasses import dataclass

from trellis._world import imported
from trellis.channels import RAISING

__all__ = ["Shown", "hide", "show", "who"]

_wit = imported("trellis_streaming_presence_0_1_0", "[needs.channels]")


@dataclass
class Shown:
    """One connection that is shown."""

    connection: int
    #: Who it is; several connections may have the same.
    key: str
    #: What others may know.
    meta: str


def show(connection: int, channel: str, key: str, meta: str = "") -> None:
    """Show a connection in a channel, or replace what is shown of it."""
    with RAISING:
        _wit.show(connection, channel, key, meta)


def hide(connection: int, channel: str) -> None:
    """Show it no longer."""
    _wit.hide(connection, channel)


def who(channel: str) -> list[Shown]:
    """Who is shown in a channel, in the order of their first `show`."""
    return [Shown(it.connection, it.key, it.meta) for it in _wit.who(channel)]
