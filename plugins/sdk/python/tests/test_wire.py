"""The packed layouts, with the bytes of a host and with those of nobody."""

import random
import struct
import unittest

from trellis import _wire, consumer, http, producer
from trellis._wire import Malformed, Reader


def prefixed(*texts: str) -> bytes:
    return b"".join(_wire.prefixed(text.encode()) for text in texts)


def request_head(params: int = 1, headers: int = 2, version: int = 1) -> bytes:
    fixed = struct.pack("<BBHIQ", version, 0b11, params, headers, 1234)
    texts = prefixed("GET", "example.org", "/a%20b", "q=1&r=&q=2", "::1", "id")
    return fixed + texts + prefixed("who", "ada", "accept", "text/html", "accept", "*/*")


def record(offset: int, key: bytes | None, value: bytes | None) -> bytes:
    body = struct.pack("<Qq", offset, 77) + _wire.optional(key) + _wire.optional(value)
    body += _wire.u32(1) + prefixed("trace") + _wire.optional(None)
    return _wire.prefixed(body)


def batch_of(*values: bytes | None) -> bytes:
    head = struct.pack("<BxxxIIQ", 1, len(values), 3, 9) + prefixed("events")
    return head + b"".join(record(10 + i, b"k", value) for i, value in enumerate(values))


class ReaderTest(unittest.TestCase):
    def test_nothing_is_read_beyond_the_end(self) -> None:
        reader = Reader(b"\x04\x00\x00\x00abcdX", end=8)
        self.assertEqual(reader.data("text"), b"abcd")
        with self.assertRaises(Malformed):
            reader.u8("more")

    def test_a_huge_length_is_refused_before_anything_is_made_of_it(self) -> None:
        for size in (5, 0x7FFF_FFFF, 0xFFFF_FFFE):
            with self.assertRaises(Malformed):
                Reader(_wire.u32(size) + b"abcd").optional("text")

    def test_null_is_not_empty(self) -> None:
        self.assertIsNone(Reader(_wire.optional(None)).optional("value"))
        self.assertEqual(Reader(_wire.optional(b"")).optional("value"), b"")


class RequestTest(unittest.TestCase):
    def test_a_request_is_read_as_it_was_sent(self) -> None:
        request = http.Request(request_head(), b'{"a":1}')
        self.assertEqual((request.method, request.path, request.scheme), ("GET", "/a%20b", "https"))
        self.assertEqual((request.host, request.client_ip, request.id), ("example.org", "::1", "id"))
        self.assertEqual(request.headers["Accept"], "text/html")
        self.assertEqual(request.headers.pairs, [("accept", "text/html"), ("accept", "*/*")])
        self.assertEqual(request.params, {"who": "ada"})
        self.assertEqual(request.query_pairs(), [("q", "1"), ("r", ""), ("q", "2")])
        self.assertEqual((request.query_value("q"), request.query_value("x", "y")), ("1", "y"))
        self.assertEqual(request.json(), {"a": 1})

    def test_a_body_that_is_no_json_is_a_400(self) -> None:
        with self.assertRaises(http.Error) as raised:
            http.Request(request_head(), b"{").json()
        self.assertEqual(raised.exception.status, 400)

    def test_another_version_is_refused(self) -> None:
        with self.assertRaises(Malformed):
            http.Request(request_head(version=2), b"")

    def test_a_request_that_is_cut_anywhere_is_malformed_and_nothing_worse(self) -> None:
        head = request_head()
        for size in range(len(head)):
            with self.assertRaises(Malformed):
                _ = http.Request(head[:size], b"").headers

    def test_huge_counts_end_with_the_bytes(self) -> None:
        with self.assertRaises(Malformed):
            _ = http.Request(request_head(headers=0xFFFF_FFFF), b"").headers


class ResponseTest(unittest.TestCase):
    def test_an_answer_is_packed_as_the_host_reads_it(self) -> None:
        head, body = http.packed(http.Response.json({"ä": 1}, status=201).header("x-a", "b"))
        fixed = struct.pack("<BBHI", 1, 0, 201, 2)
        self.assertEqual(head, fixed + prefixed("content-type", "application/json", "x-a", "b"))
        self.assertEqual(body, '{"ä":1}'.encode())

    def test_what_is_no_answer_is_refused(self) -> None:
        for wrong in ("text", None, 404):
            with self.assertRaises(TypeError):
                http.packed(wrong)  # type: ignore[arg-type]


class BatchTest(unittest.TestCase):
    def test_a_batch_is_read_as_it_was_written(self) -> None:
        batch = consumer.Batch(batch_of(b'{"a":1}', None))
        first, second = batch
        self.assertEqual((batch.topic, batch.partition, batch.behind, len(batch)), ("events", 3, 9, 2))
        self.assertEqual((first.key, first.offset, first.timestamp_ms), (b"k", 10, 77))
        self.assertEqual((first.json(), second.json(), second.value), ({"a": 1}, None, None))
        self.assertEqual((first.topic, first.partition, second.index), ("events", 3, 1))
        self.assertEqual((first.headers, first.headers), ([("trace", None)], [("trace", None)]))

    def test_a_batch_that_is_cut_anywhere_fails_at_the_record_that_is_cut(self) -> None:
        whole = batch_of(b"a", b"b")
        for size in range(len(whole)):
            with self.assertRaises((Malformed, consumer.DeadLetter)):
                list(consumer.Batch(whole[:size]))

    def test_any_bytes_are_read_or_refused(self) -> None:
        seeded = random.Random(7)
        for _ in range(3000):
            data = bytearray(batch_of(b"a", b"bc", None))
            for _ in range(seeded.randrange(1, 6)):
                data[seeded.randrange(len(data))] = seeded.randrange(256)
            try:
                for message in consumer.Batch(bytes(data)):
                    _ = message.headers
            except (Malformed, consumer.DeadLetter):
                pass


class RecordsTest(unittest.TestCase):
    def test_records_are_packed_as_the_host_reads_them(self) -> None:
        records = [
            producer.Record("raw", b"v", key=b"k", headers={"h": None}),
            producer.Record.json("raw", {"ä": 1}),
        ]
        data, count = producer.packed(records)
        reader = Reader(data)
        reader.version()
        reader.skip(3, "reserved")
        self.assertEqual((count, reader.u32("count")), (2, 2))
        one = Reader(reader.data("record"))
        self.assertEqual((one.u32("partition"), one.i64("time")), (0xFFFF_FFFF, -1))
        self.assertEqual((one.text("topic"), one.optional("k"), one.optional("v")), ("raw", b"k", b"v"))
        self.assertEqual((one.u32("headers"), one.text("name"), one.optional("h")), (1, "h", None))
        self.assertEqual(one.left(), 0)

    def test_a_record_made_of_a_message_has_its_key(self) -> None:
        [message] = consumer.Batch(batch_of(b"v"))
        self.assertEqual(producer.Record("out", b"w").made_of(message).key, b"k")


if __name__ == "__main__":
    unittest.main()
