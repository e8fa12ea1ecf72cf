"""Bytes under a key, in the stores that `[needs.keyvalue] stores` of plugin.toml names.

    from trellis.keyvalue import Store

    visits = Store("visits")        # opened when it is first used

    visits.increment(b"ada".decode(), 1)
"""

from collections.abc import Callable, Mapping
from typing import Any

from trellis._errors import Err, Error, Raising
from trellis._world import imported

__all__ = ["AccessDenied", "KeyValueError", "NoSuchStore", "Store"]

_need = "[needs.keyvalue] with `stores`"
_store = imported("wasi_keyvalue_store_0_2_0_draft2", _need)
_atomics = imported("wasi_keyvalue_atomics_0_2_0_draft2", _need)
_batch = imported("wasi_keyvalue_batch_0_2_0_draft2", _need)


class KeyValueError(Error):
    """Why something was not done."""


class NoSuchStore(KeyValueError):
    """The store is not in the manifest."""


class AccessDenied(KeyValueError):
    """It was not granted."""


_RAISING = Raising(KeyValueError, {"NoSuchStore": NoSuchStore, "AccessDenied": AccessDenied})


class Store:
    """A store, opened when it is first used."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._opened: Any = None

    @property
    def _bucket(self) -> Any:
        if self._opened is None:
            self._opened = _store.open(self._name)
        return self._opened

    def get(self, key: str) -> bytes | None:
        """The value of a key."""
        with _RAISING:
            value: bytes | None = self._bucket.get(key)
            return value

    def get_many(self, keys: list[str]) -> dict[str, bytes]:
        """The values of several keys, without those that are not there."""
        with _RAISING:
            return dict(pair for pair in _batch.get_many(self._bucket, keys) if pair is not None)

    def set(self, key: str, value: bytes) -> None:
        """Write a value over whatever was there."""
        with _RAISING:
            self._bucket.set(key, value)

    def set_many(self, pairs: Mapping[str, bytes]) -> None:
        """Write several values in one call, all or none."""
        with _RAISING:
            _batch.set_many(self._bucket, list(pairs.items()))

    def delete(self, key: str) -> None:
        """Remove a key; a missing one is fine."""
        with _RAISING:
            self._bucket.delete(key)

    def delete_many(self, keys: list[str]) -> None:
        """Remove several keys in one call, all or none."""
        with _RAISING:
            _batch.delete_many(self._bucket, keys)

    def exists(self, key: str) -> bool:
        """Whether there is such a key."""
        with _RAISING:
            there: bool = self._bucket.exists(key)
            return there

    def keys(self, cursor: str | None = None) -> tuple[list[str], str | None]:
        """One page of keys, and the cursor for the next one."""
        with _RAISING:
            page = self._bucket.list_keys(cursor)
            return page.keys, page.cursor

    def increment(self, key: str, by: int = 1) -> int:
        """Add to a number and return the sum; no other writer can come between."""
        with _RAISING:
            total: int = _atomics.increment(self._bucket, key, by)
            return total

    def update(self, key: str, change: Callable[[bytes | None], bytes]) -> None:
        """Replace a value by what the function makes of it; the function runs again whenever
        somebody else wrote in between."""
        with _RAISING:
            read = _atomics.Cas.new(self._bucket, key)
            while True:
                value = change(read.current())
                try:
                    return _atomics.swap(read, value)  # type: ignore[no-any-return]
                except Err as error:
                    if not isinstance(error.value, _atomics.CasError_CasFailed):
                        raise _RAISING.exception(error.value.value) from None
                    read = error.value.value
