"""Values that may be forgotten: kept in memory, each for a time, so that they need not be computed
again. Needs `[needs.cache]` in plugin.toml.

    from trellis import cache

    page = cache.get("page") or b""
    page = cache.computed("page", ttl_ms=60_000, compute=render)

Limits: keys of 1,024 bytes, values of 1 MiB, a time to live from 1 ms to 30 days.
"""

from collections.abc import Callable

from trellis._errors import Error, Raising
from trellis._world import imported

__all__ = ["CacheError", "Invalid", "Lost", "Unavailable", "add", "computed", "delete", "get", "set"]

_wit = imported("trellis_storage_cache_0_1_0", "[needs.cache]")


class CacheError(Error):
    """Why something was not done."""


class Invalid(CacheError):
    """Beyond the limits; the text says which."""


class Unavailable(CacheError):
    """The cache cannot be reached, was too slow or is full."""


class Lost(CacheError):
    """The claim on a key has ended."""


_RAISING = Raising(CacheError, {kind.__name__: kind for kind in (Invalid, Unavailable, Lost)})


def get(key: str) -> bytes | None:
    """The value of a key."""
    with _RAISING:
        value: bytes | None = _wit.get(key)
        return value


def set(key: str, value: bytes, ttl_ms: int) -> None:
    """Write a value over whatever is there, for so many milliseconds from now."""
    with _RAISING:
        _wit.set(key, value, ttl_ms)


def add(key: str, value: bytes, ttl_ms: int) -> bool:
    """Write a value only where there is none; whether it was written. Of many callers at once, on
    all hosts, one is told True."""
    with _RAISING:
        written: bool = _wit.add(key, value, ttl_ms)
        return written


def delete(key: str) -> None:
    """Forget a key; a missing one is fine."""
    with _RAISING:
        _wit.delete(key)


def computed(
    key: str,
    ttl_ms: int,
    compute: Callable[[], bytes],
    lease_ms: int = 10_000,
    wait_ms: int = 5_000,
) -> bytes:
    """The value of a key, computed where there is none: many ask, on all hosts, one computes, the
    others wait for so long and then compute for themselves. A cache that is not available is an
    exception before anything was computed, and none after."""
    with _RAISING:
        claimed = _wit.Claim.take(key, lease_ms, wait_ms)
    kind = type(claimed).__name__
    if kind == "Claimed_Value":
        value: bytes = claimed.value
        return value
    if kind == "Claimed_Taken":
        return compute()
    # Left without a value, somebody else takes over.
    with claimed.value as claim:
        value = compute()
        try:
            with _RAISING:
                claim.fill(value, ttl_ms)
        except (Lost, Unavailable):
            # The value is right all the same, and somebody else's is kept.
            pass
        return value
