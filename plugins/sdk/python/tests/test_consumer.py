"""What a handler that fails means for its batch."""

import logging
import unittest
from collections.abc import Callable
from typing import Any

from test_wire import batch_of
from trellis import consumer


class ConsumerTest(unittest.TestCase):
    def setUp(self) -> None:
        consumer._handler = None
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)

    def outcome(self, decorate: Callable[[Any], Any], function: Any, data: bytes) -> Any:
        decorate(function)
        return consumer.run(data)

    def test_an_exception_of_each_names_its_message(self) -> None:
        seen = []

        def fail(message: consumer.Message) -> None:
            seen.append(message.index)
            if message.index == 1:
                raise KeyError("type")

        failure = self.outcome(consumer.each, fail, batch_of(b"a", b"b", b"c"))
        self.assertIsInstance(failure, consumer.Retry)
        self.assertEqual((failure.index, failure.reason, seen), (1, "KeyError: 'type'", [0, 1]))

    def test_a_value_that_is_no_json_is_a_dead_letter_at_once(self) -> None:
        failure = self.outcome(consumer.each, lambda m: m.json(), batch_of(b"1", b"{"))
        self.assertIsInstance(failure, consumer.DeadLetter)
        self.assertEqual(failure.index, 1)

    def test_each_does_not_pass_over_messages_that_it_has_not_seen(self) -> None:
        def fail(message: consumer.Message) -> None:
            raise consumer.DeadLetter("no", 2)

        failure = self.outcome(consumer.each, fail, batch_of(b"a", b"b", b"c"))
        self.assertEqual(failure.index, 1)

    def test_an_exception_of_a_whole_batch_counts_none_as_done(self) -> None:
        def fail(batch: consumer.Batch) -> None:
            list(batch)
            raise RuntimeError("later")

        failure = self.outcome(consumer.batch, fail, batch_of(b"a", b"b"))
        self.assertIsInstance(failure, consumer.Retry)
        self.assertEqual(failure.index or 0, 0)

    def test_messages_before_one_that_cannot_be_read_are_handled_before_it_is_put_aside(self) -> None:
        stored: list[int] = []

        def collect(batch: consumer.Batch) -> None:
            values = [message.json() for message in batch]
            stored.extend(values)

        failure = self.outcome(consumer.batch, collect, batch_of(b"1", b"2", b"{", b"4"))
        self.assertIsInstance(failure, consumer.DeadLetter)
        self.assertEqual((failure.index, stored), (2, [1, 2]))

    def test_an_exception_for_those_before_it_is_theirs(self) -> None:
        def fail(batch: consumer.Batch) -> None:
            _ = [message.json() for message in batch]
            raise RuntimeError("away")

        failure = self.outcome(consumer.batch, fail, batch_of(b"1", b"{"))
        self.assertEqual((type(failure), failure.index or 0), (consumer.Retry, 0))

    def test_a_failure_can_name_its_message_and_a_time(self) -> None:
        def fail(batch: consumer.Batch) -> None:
            _, second = batch
            raise consumer.Retry("busy", second, after_ms=50)

        failure = self.outcome(consumer.batch, fail, batch_of(b"a", b"b"))
        self.assertEqual((failure.index, failure.after_ms), (1, 50))

    def test_a_batch_that_cannot_be_read_is_tried_again(self) -> None:
        failure = self.outcome(consumer.each, lambda _: None, batch_of(b"a")[:9])
        self.assertIsInstance(failure, consumer.Retry)

    def test_there_is_one_function_that_consumes(self) -> None:
        consumer.each(lambda _: None)
        with self.assertRaises(RuntimeError):
            consumer.batch(lambda _: None)


if __name__ == "__main__":
    unittest.main()
