"""Writing to topics.

    from trellis import producer
    from trellis.producer import Record

    producer.send([Record("events", key=b"ada", value=b"{}"), Record.json("events", {"type": "w"})])

The topics are in `[needs.produce]` of plugin.toml. Several records in one call are cheaper than
several calls: they share one sync of the disk.
"""

import json as _json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trellis._errors import Error, Raising
from trellis._wire import VERSION, i64, optional, prefixed, u32
from trellis._world import imported

if TYPE_CHECKING:
    from trellis.consumer import Message

__all__ = [
    "Malformed", "NotGranted", "Record", "Rejected", "SendError", "TooLarge", "Unavailable",
    "UnknownPartition", "UnknownTopic", "send", "send_ahead", "send_each",
]  # fmt: skip

_wit = imported("trellis_kafka_packed_producer_0_1_0", "[needs.produce]")

_BY_KEY = 0xFFFF_FFFF
_NOW = -1
#: The header that carries a trace (W3C Trace Context).
_TRACE = "traceparent"


class SendError(Error):
    """Why a record was not written."""


class NotGranted(SendError):
    """The topic is not in `[needs.produce]` or not granted."""


class UnknownTopic(SendError):
    """There is no such topic."""


class UnknownPartition(SendError):
    """The topic has fewer partitions."""


class TooLarge(SendError):
    """Larger than the topic allows."""


class Unavailable(SendError):
    """Nothing was written now; the same call may succeed later."""


class Malformed(SendError):
    """A timestamp before 1970, or a header whose name holds a zero byte."""


_RAISING = Raising(
    SendError,
    {kind.__name__: kind for kind in (NotGranted, UnknownTopic, UnknownPartition, TooLarge, Unavailable, Malformed)},
)


@dataclass
class Record:
    """A record to be written. What is not given is null, now, or by the hash of the key."""

    topic: str
    value: bytes | None = None
    key: bytes | None = None
    headers: Mapping[str, bytes | None] = field(default_factory=dict)
    partition: int | None = None
    #: Milliseconds since 1970 UTC.
    timestamp_ms: int | None = None

    @staticmethod
    def json(topic: str, value: Any, key: bytes | None = None) -> "Record":
        """A record with this value as JSON."""
        text = _json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return Record(topic, text.encode(), key)

    def made_of(self, message: "Message") -> "Record":
        """The same with the key of the message that it was made of, and in the trace of that."""
        trace = message.header(_TRACE)
        headers = self.headers if trace is None else {**self.headers, _TRACE: trace}
        return Record(self.topic, self.value, message.key, headers, self.partition, self.timestamp_ms)


@dataclass
class Rejected:
    """A record that was not written."""

    index: int
    error: Error


def send(records: Iterable[Record]) -> None:
    """Write records and wait until they are durable. Raises the error of the first that is not.

    Limits: 10,000 records and 16 MiB a call.
    """
    _raise_first(send_each(records))


def send_each(records: Iterable[Record]) -> list[Rejected]:
    """The same; the answer lists the records that were **not** written."""
    return _call("send", records)


def send_ahead(records: Iterable[Record]) -> None:
    """Write records ahead of the answer to a request: go on at once, while the host holds the
    answer back until they are durable. Should that fail later, the client gets 503.

    Raises the error of the first record of which it is known now that it will not be written.
    """
    _raise_first(_call("send_ahead", records))


def _call(function: str, records: Iterable[Record]) -> list[Rejected]:
    data, count = packed(records)
    if not count:
        return []
    with _RAISING:
        rejected = getattr(_wit, function)(data)
    return [Rejected(it.index, _RAISING.exception(it.error)) for it in rejected]


def _raise_first(rejected: list[Rejected]) -> None:
    if rejected:
        raise rejected[0].error


def packed(records: Iterable[Record]) -> tuple[bytes, int]:
    """The bytes that `trellis:kafka/packed-producer` describes, and the number of records."""
    parts: list[bytes] = []
    for record in records:
        body = [
            u32(_BY_KEY if record.partition is None else record.partition),
            i64(_NOW if record.timestamp_ms is None else record.timestamp_ms),
            prefixed(record.topic.encode()),
            optional(record.key),
            optional(record.value),
            u32(len(record.headers)),
        ]
        for name, value in record.headers.items():
            body += (prefixed(name.encode()), optional(value))
        parts.append(prefixed(b"".join(body)))
    head = bytes((VERSION, 0, 0, 0)) + u32(len(parts))
    return head + b"".join(parts), len(parts)
