"""The packed layouts: reading and writing length-prefixed bytes.

All integers are little endian; a text is a `u32` length and so many bytes, and one that may be
null has the length 0xffffffff for that. The layouts are drawn in `wit/http` and `wit/kafka`.
"""

import struct

VERSION = 1
NULL = 0xFFFF_FFFF

_U16 = struct.Struct("<H")
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_I64 = struct.Struct("<q")


class Malformed(ValueError):
    """Bytes that do not follow their layout."""


class Reader:
    """Reads fields one after the other, never beyond `end`."""

    __slots__ = ("_bytes", "_end", "at")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self._bytes = data
        self._end = len(data) if end is None else end
        self.at = at

    def left(self) -> int:
        """How many bytes there are yet."""
        return self._end - self.at

    def skip(self, size: int, what: str) -> int:
        """Go on behind `size` bytes; where they begin."""
        at = self.at
        if size > self._end - at:
            raise Malformed(f"{what} ends after {self._end - at} of {size} bytes")
        self.at = at + size
        return at

    def version(self) -> None:
        """The first byte of every layout."""
        version = self.u8("version")
        if version != VERSION:
            raise Malformed(f"version {version} is not {VERSION}")

    def u8(self, what: str) -> int:
        return self._bytes[self.skip(1, what)]

    def u16(self, what: str) -> int:
        value: int = _U16.unpack_from(self._bytes, self.skip(2, what))[0]
        return value

    def u32(self, what: str) -> int:
        value: int = _U32.unpack_from(self._bytes, self.skip(4, what))[0]
        return value

    def u64(self, what: str) -> int:
        value: int = _U64.unpack_from(self._bytes, self.skip(8, what))[0]
        return value

    def i64(self, what: str) -> int:
        value: int = _I64.unpack_from(self._bytes, self.skip(8, what))[0]
        return value

    def data(self, what: str) -> bytes:
        size = self.u32(what)
        at = self.skip(size, what)
        return self._bytes[at : at + size]

    def optional(self, what: str) -> bytes | None:
        size = self.u32(what)
        if size == NULL:
            return None
        at = self.skip(size, what)
        return self._bytes[at : at + size]

    def text(self, what: str) -> str:
        return self.data(what).decode("utf-8", "replace")


def u16(value: int) -> bytes:
    return _U16.pack(value)


def u32(value: int) -> bytes:
    return _U32.pack(value)


def i64(value: int) -> bytes:
    return _I64.pack(value)


def prefixed(data: bytes) -> bytes:
    """Bytes behind their length."""
    return _U32.pack(len(data)) + data


def optional(data: bytes | None) -> bytes:
    """The same, or null."""
    return _U32.pack(NULL) if data is None else _U32.pack(len(data)) + data
