"""Hooks around a version of the plugin: before it goes live, before the next one starts, after its
end.

    from trellis import lifecycle

    @lifecycle.start
    def begin(saved: bytes | None) -> None:
        ...

    @lifecycle.save
    def keep() -> bytes:
        ...

They have to be in plugin.py, and run in the version's first instance. Where the plugin's state must
not miss a call, `[limits] concurrency = 1` makes that the only one.
"""

import logging
from collections.abc import Callable

from trellis._errors import Err

__all__ = ["save", "start", "stop"]

Start = Callable[[bytes | None], None]
Save = Callable[[], bytes]
Stop = Callable[[], None]
_start: Start | None = None
_save: Save | None = None
_stop: Stop | None = None


def start(function: Start) -> Start:
    """The function that is called before this version goes live, with what `save` of the one before
    returned. An exception keeps the one before serving."""
    global _start
    _start = function
    return function


def save(function: Save) -> Save:
    """The function that is called before the next version starts, which is handed the bytes; at most
    16 MiB. An exception keeps this version serving."""
    global _save
    _save = function
    return function


def stop(function: Stop) -> Stop:
    """The function that is called after the last call of this version."""
    global _stop
    _stop = function
    return function


def has_handler() -> bool:
    """Whether there is a hook."""
    return (_start or _save or _stop) is not None


def begin(saved: bytes | None) -> None:
    """The host's `start`."""
    if _start is None:
        return
    try:
        _start(saved)
    except Exception as error:
        logging.exception("the plugin does not start")
        raise Err(f"{type(error).__name__}: {error}") from None


def keep() -> bytes:
    """The host's `save`."""
    if _save is None:
        return b""
    try:
        return _save()
    except Exception:
        logging.exception("the plugin cannot be saved")
        raise


def end() -> None:
    """The host's `stop`."""
    if _stop is None:
        return
    try:
        _stop()
    except Exception:
        logging.exception("the plugin did not stop as it should")
