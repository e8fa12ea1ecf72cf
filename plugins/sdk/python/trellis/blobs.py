"""Bytes under a key, in the containers that `[needs.blobs]` of plugin.toml names: covers, uploads,
recordings. To a client, a blob is best sent by the host: `http.Response.blob`.

    from trellis import blobs

    blobs.put("covers", "a/1.png", image, "image/png")

What returned is durable.
"""

from dataclasses import dataclass
from typing import Any

from trellis._errors import Error, Raising
from trellis._world import imported

__all__ = [
    "BlobError", "Full", "Info", "Invalid", "TooLarge", "Unavailable", "append", "copy", "delete",
    "entries", "get", "head", "put", "read",
]  # fmt: skip

_wit = imported("trellis_storage_blobs_0_1_0", "[needs.blobs] with `containers`")


class BlobError(Error):
    """Why something was not done."""


class Invalid(BlobError):
    """The container is not in the manifest, or the key or the content type is none."""


class TooLarge(BlobError):
    """More than 16 MiB to write or to `get`; more than 1 MiB to `read`."""


class Full(BlobError):
    """The plugin would have more than its `max-bytes`."""


class Unavailable(BlobError):
    """The disk is full or cannot be read; the same call may succeed later."""


_RAISING = Raising(BlobError, {kind.__name__: kind for kind in (Invalid, TooLarge, Full, Unavailable)})


@dataclass
class Info:
    """What is known of a blob without reading it."""

    size: int
    #: Another text after every change.
    etag: str
    #: When it was last written, in milliseconds since 1970 UTC.
    modified_ms: int
    content_type: str | None


def put(container: str, key: str, body: bytes, content_type: str | None = None) -> Info:
    """Write a blob over whatever is there. Limit: 16 MiB."""
    with _RAISING:
        return _info(_wit.put(container, key, body, content_type))


def append(container: str, key: str, data: bytes) -> Info:
    """Add to the end of a blob; where there is none one begins. Limit: 16 MiB a call."""
    with _RAISING:
        return _info(_wit.append(container, key, data))


def get(container: str, key: str) -> bytes | None:
    """A whole blob of at most 16 MiB."""
    with _RAISING:
        found = _wit.get(container, key)
    return None if found is None else found.body


def read(container: str, key: str, offset: int, length: int) -> bytes | None:
    """The bytes from `offset` on, fewer at the end. Limit: 1 MiB a call."""
    with _RAISING:
        part: bytes | None = _wit.read(container, key, offset, length)
        return part


def head(container: str, key: str) -> Info | None:
    """What is known of a blob."""
    with _RAISING:
        found = _wit.head(container, key)
    return None if found is None else _info(found)


def entries(
    container: str, prefix: str = "", after: str | None = None, most: int = 1000
) -> list[tuple[str, Info]]:
    """The blobs whose keys begin with `prefix`, behind the key `after`; a page of at most 1,000."""
    with _RAISING:
        return [(it.key, _info(it.info)) for it in _wit.list(container, prefix, after, most)]


def delete(container: str, key: str) -> None:
    """Remove a blob; a missing one is fine."""
    with _RAISING:
        _wit.delete(container, key)


def copy(container: str, key: str, to_container: str, to_key: str) -> Info | None:
    """Write what is under one key under another; None where there is nothing."""
    with _RAISING:
        found = _wit.copy(container, key, to_container, to_key)
    return None if found is None else _info(found)


def _info(info: Any) -> Info:
    return Info(info.size, info.etag, info.modified_ms, info.content_type)
