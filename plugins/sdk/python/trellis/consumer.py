"""Being run by a topic.

    from trellis import consumer

    @consumer.each
    def count(message: consumer.Message) -> None:
        event = message.json()

Which topics is in `[[consume]]` of plugin.toml. With `each` the function gets one message after
the other, and an exception names the one that failed: those before it are done. With `batch` it
gets all at once, which is cheaper where many messages become one call of something else; then an
exception fails the whole batch, unless it says at which message.

What fails is handed over again after the back-off of the manifest, until its attempts are used up;
then it goes to the dead-letter topic. `raise DeadLetter(...)` sends it there at once. The traceback
is in the log.
"""

import json as _json
import logging
from collections.abc import Callable, Iterator
from copy import copy
from typing import Any

from trellis._errors import Err
from trellis._wire import Malformed, Reader
from trellis._world import types

__all__ = ["Batch", "DeadLetter", "Failure", "Message", "Retry", "batch", "each"]

#: The host keeps no more of a reason.
_MAX_REASON = 1024


class Message:
    """One record, read where it lies in its batch."""

    __slots__ = (
        "_header_count", "_headers", "index", "key", "offset", "partition", "timestamp_ms", "topic",
        "value",
    )  # fmt: skip

    def __init__(self, batch: "Batch", data: bytes, at: int, end: int, index: int) -> None:
        record = Reader(data, at, end)
        #: The topic and the partition it comes from.
        self.topic = batch.topic
        self.partition = batch.partition
        #: Its place in the batch.
        self.index = index
        #: The position in its partition. Offsets grow, with gaps.
        self.offset = record.u64("offset")
        #: When it was produced, in milliseconds since 1970 UTC.
        self.timestamp_ms = record.i64("timestamp")
        #: The key, which decided the partition.
        self.key = record.optional("key")
        #: The value; None is a tombstone.
        self.value = record.optional("value")
        self._header_count = record.u32("number of headers")
        self._headers = record

    @property
    def headers(self) -> list[tuple[str, bytes | None]]:
        """The headers in order; names may repeat."""
        rest = self._headers
        start = rest.at
        pairs: list[tuple[str, bytes | None]] = []
        for _ in range(self._header_count):
            pairs.append((rest.text("name"), rest.optional("value")))
        rest.at = start
        return pairs

    def header(self, name: str) -> bytes | None:
        """The first header of this name."""
        return next((value for key, value in self.headers if key == name), None)

    def text(self) -> str:
        """The value as text. Raises DeadLetter for one that is none: it will never be."""
        try:
            return (self.value or b"").decode()
        except UnicodeDecodeError as error:
            raise Unreadable(f"the value is not text: {error}", self) from error

    def json(self) -> Any:
        """The value read as JSON; a tombstone is None. Raises DeadLetter for one that is none."""
        if self.value is None:
            return None
        try:
            return _json.loads(self.value)
        except ValueError as error:
            raise Unreadable(f"the value is not JSON: {error}", self) from error


class Batch:
    """Messages of one partition, in order."""

    def __init__(self, data: bytes) -> None:
        reader = Reader(data)
        reader.version()
        reader.skip(3, "reserved bytes")
        self._count = reader.u32("number of records")
        #: The partition they come from.
        self.partition = reader.u32("partition")
        #: How many records lay beyond this batch when it was read.
        self.behind = reader.u64("behind")
        #: The topic they come from.
        self.topic = reader.text("topic")
        self._data = data
        self._start = reader.at

    def before(self, index: int) -> "Batch":
        """The messages before this one."""
        some = copy(self)
        some._count = min(index, self._count)
        return some

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Message]:
        reader = Reader(self._data, self._start)
        for index in range(self._count):
            try:
                size = reader.u32("record")
                at = reader.skip(size, "record")
                message = Message(self, self._data, at, at + size, index)
            except Malformed as error:
                raise Unreadable(f"record {index} cannot be read: {error}", index) from error
            yield message


class Failure(Exception):
    """A batch that was not handled to its end: raise `Retry` or `DeadLetter`.

    `at` is the message that failed, or its index. Those before it count as done, so what they
    brought must be stored when this is raised. Without it, it is the message that `each` handles,
    or the first one of a batch.
    """

    def __init__(self, reason: str, at: "Message | int | None" = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.index = at.index if isinstance(at, Message) else at


class Retry(Failure):
    """Hand the message over again after the back-off, or after `after_ms` milliseconds."""

    def __init__(
        self, reason: str, at: Message | int | None = None, after_ms: int | None = None
    ) -> None:
        super().__init__(reason, at)
        self.after_ms = after_ms


class DeadLetter(Failure):
    """Send the message to the dead-letter topic and go on behind it."""


class Unreadable(DeadLetter):
    """A value that is not what was asked for. The library raises it, so that nobody has said what
    became of the messages before it."""


Each = Callable[[Message], None]
Whole = Callable[[Batch], None]
_handler: Whole | None = None


def each(function: Each) -> Each:
    """The function that handles one message after the other."""

    def whole(messages: Batch) -> None:
        index = 0
        try:
            for message in messages:
                index = message.index
                function(message)
        except Failure as failure:
            # Whatever it names: those behind this message have not been seen.
            failure.index = index if failure.index is None else min(failure.index, index + 1)
            raise
        except Exception as error:
            raise Retry(_described(error), index) from error

    _register(whole)
    return function


def batch(function: Whole) -> Whole:
    """The function that handles a batch at a time.

    Where a message cannot be read, by `text` or `json`, the function is called once more with the
    messages before it; then it goes to the dead-letter topic.
    """

    def whole(messages: Batch) -> None:
        try:
            function(messages)
        except Unreadable as failure:
            # They count as done once it is named, and may have been collected only.
            if failure.index:
                function(messages.before(failure.index))
            raise

    _register(whole)
    return function


def _register(function: Whole) -> None:
    global _handler
    if _handler is not None:
        raise RuntimeError("there are two functions that consume; keep one and look at `topic`")
    _handler = function


def has_handler() -> bool:
    """Whether there is a function that consumes."""
    return _handler is not None


def handle(data: bytes) -> None:
    """One call of the packed consumer."""
    failure = run(data)
    if failure is None:
        return
    wit = types("trellis_kafka_types_0_1_0")
    if isinstance(failure, DeadLetter):
        action = wit.FailureAction_DeadLetter()
    else:
        action = wit.FailureAction_Retry(getattr(failure, "after_ms", None))
    reason = failure.reason.encode()[:_MAX_REASON].decode("utf-8", "ignore")
    raise Err(wit.Failure(failure.index or 0, reason, action))


def run(data: bytes) -> Failure | None:
    """Handle the bytes of a batch; what was not."""
    try:
        assert _handler is not None, "the entry has looked for it"
        messages = Batch(data)
        _handler(messages)
    except Failure as failure:
        if isinstance(failure, Retry) and failure.__cause__ is not None:
            logging.error("a message failed", exc_info=failure.__cause__)
        return failure
    except Exception as error:
        logging.exception("a batch failed")
        return Retry(_described(error))
    return None


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
