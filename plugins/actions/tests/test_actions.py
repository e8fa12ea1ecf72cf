"""What the actions make of events, without a host."""

import importlib.util
import json
import struct
import sys
import unittest
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

from actions import Event, check, pause, run
from trellis import _wire, client, consumer

FOLDER = Path(__file__).parent.parent


def plugin(name: str) -> ModuleType:
    """One of the plugins, each of which is a module `plugin`."""
    consumer._handler = None
    spec = importlib.util.spec_from_file_location(f"plugin_{name}", FOLDER / name / "plugin.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def batch_of(*values: Any) -> consumer.Batch:
    """A batch with these values as JSON, or these bytes."""
    data = struct.pack("<BxxxIIQ", 1, len(values), 0, 0) + _wire.prefixed(b"events")
    for offset, value in enumerate(values):
        value = value if isinstance(value, bytes) else json.dumps(value).encode()
        body = struct.pack("<Qq", offset, 0) + _wire.optional(b"k") + _wire.optional(value)
        data += _wire.prefixed(body + _wire.u32(0))
    return consumer.Batch(data)


def event(kind: str, **params: Any) -> dict[str, Any]:
    return {"type": kind, "params": params}


def answer(status: int, body: Any = None, **headers: str) -> client.Response:
    return client.Response("http://s", status, list(headers.items()), json.dumps(body).encode())


class Services:
    """In place of the host: notes what is asked, and answers with what there is for a URL."""

    def __init__(self, **answers: client.Response | client.ClientError) -> None:
        self.answers = answers
        self.asked: list[client.Request] = []

    def __call__(self, requests: Any) -> list[client.Response | client.ClientError]:
        wanted = list(requests)
        self.asked += wanted
        return [self.answers.get(request.url.rpartition("/")[2], answer(200)) for request in wanted]

    def urls(self) -> list[str]:
        return [request.url for request in self.asked]


def one(url: str) -> Any:
    return lambda event: [client.Request("GET", f"{url}/{event.kind}")]


class CallsTest(unittest.TestCase):
    def setUp(self) -> None:
        self.services = Services(busy=answer(503), wrong=answer(404), gone=client.Timeout("late"))
        patch = mock.patch.object(client, "send_all", self.services)
        patch.start()
        self.addCleanup(patch.stop)

    def failure(self, *kinds: Any) -> consumer.Failure:
        events = [kind if isinstance(kind, bytes) else event(kind) for kind in kinds]
        with self.assertRaises(consumer.Failure) as raised:
            run(batch_of(*events), one("http://s"))
        return raised.exception

    def test_the_first_that_failed_is_named_and_tried_again_where_that_may_help(self) -> None:
        for kind, failure in (("busy", consumer.Retry), ("gone", consumer.Retry), ("wrong", consumer.DeadLetter)):
            failed = self.failure("a", kind, "b")
            self.assertIs(type(failed), failure)
            self.assertEqual(failed.index, 1)

    def test_what_is_before_an_unreadable_record_is_called_for_first(self) -> None:
        self.assertEqual(self.failure("a", b"{", "b").index, 1)
        self.assertEqual(self.services.urls(), ["http://s/a"])
        self.services.asked.clear()
        self.assertEqual(self.failure("busy", b"{").index, 0)

    def test_many_are_asked_64_at_a_time_and_none_behind_a_failure(self) -> None:
        run(batch_of(*[event("a")] * 130), one("http://s"))
        self.assertEqual(len(self.services.asked), 130)
        self.services.asked.clear()
        self.failure(*["a"] * 10, "busy", *["a"] * 100)
        self.assertEqual(len(self.services.asked), 64)

    def test_a_service_may_say_when_it_has_time(self) -> None:
        for seconds, pause_ms in (("3", 3000), ("99999", 600_000), ("soon", None), ("", None)):
            self.assertEqual(pause(client.Response("u", 503, [("retry-after", seconds)], b"")), pause_ms)

    def test_an_answer_is_what_is_2xx(self) -> None:
        [message] = batch_of(event("a"))
        self.assertEqual(check(answer(204), message).status, 204)
        with self.assertRaises(consumer.DeadLetter):
            check(client.Invalid("no URL"), message)


class EventTest(unittest.TestCase):
    def test_parameters_are_texts_or_numbers_as_they_come(self) -> None:
        [message] = batch_of(event("geo", a="1.5", b=2, c=[1], d="inf", e="nan", f=True))
        read = Event.of(message)
        self.assertEqual([read.number(name) for name in "abcdefg"], [1.5, 2, None, None, None, None, None])
        self.assertEqual((read.text("b"), read.text("c"), read.text("g")), ("2", "", ""))

    def test_what_is_no_event_is_a_dead_letter(self) -> None:
        for value in (b"{", [1], {"params": {}}, {"type": 1}):
            [message] = batch_of(value)
            with self.assertRaises(consumer.DeadLetter):
                Event.of(message)


class PluginsTest(unittest.TestCase):
    def requests(self, function: Any, *arguments: Any, **params: Any) -> list[str]:
        [message] = batch_of(event(params.pop("kind"), **params))
        return [it.url for it in function(Event.of(message), *arguments)]

    def test_geo_tells_the_last_place_of_each_device(self) -> None:
        geo = plugin("geo")
        events = [event("geo", di=device, lt=place, lg=2) for device, place in (("a", 1), ("b", 1), ("a", 3))]
        batch = batch_of(*events, event("w"))
        last = geo.last_places(batch)
        urls = [it.url for message in batch for it in geo.requests(Event.of(message), "http://s", last)]
        self.assertEqual(urls, ["http://s?di=b&lt=1.0&lg=2.0", "http://s?di=a&lt=3.0&lg=2.0"])

    def test_geo_without_a_place_is_a_dead_letter(self) -> None:
        with self.assertRaises(consumer.DeadLetter):
            self.requests(plugin("geo").requests, "http://s", {"a": 0}, kind="geo", di="a", lt="x", lg=1)

    def test_notifier_looks_for_matches_of_what_changed(self) -> None:
        requests = plugin("notifier").requests
        offer = {"kind": "offr", "_id": "a/b"}
        self.assertEqual(self.requests(requests, "http://s", **offer, action="create"), ["http://s/offers/a%2Fb/notify"])
        self.assertEqual(self.requests(requests, "http://s", kind="srch", _id=7), ["http://s/searches/7/notify"])
        for action in ("delete", "search", "preview"):
            self.assertEqual(self.requests(requests, "http://s", **offer, action=action), [])
        self.assertEqual(self.requests(requests, "http://s", kind="bud", _id="1"), [])

    def test_bulkdata_reads_the_ids_of_offers(self) -> None:
        identifiers = plugin("bulkdata").identifiers
        offers = [{"_id": "a"}, {"_id": 2}, {"id": "x"}, "y"]
        self.assertEqual(list(identifiers(answer(200, {"data": offers}))), ["a", "2"])
        self.assertEqual(list(identifiers(answer(200, offers))), ["a", "2"])
        self.assertEqual(list(identifiers(answer(200, "no"))), [])

    def test_chatbot_answers_whole_words_in_any_case(self) -> None:
        chatbot = plugin("chatbot")
        known = chatbot.replies("Hello = Hi!\nno line\nhelp=a = b\n")
        self.assertEqual(known, [("hello", "Hi!"), ("help", "a = b")])
        self.assertEqual(list(chatbot.answers("oh HELLO, helper", known)), [(0, "Hi!")])

    def test_geonames_makes_offers_of_places(self) -> None:
        geonames = plugin("geonames")
        poi, wikipedia = geonames.SOURCES
        [place] = geonames.places(answer(200, {"poi": {"name": "Gate", "lat": "1", "lng": "2"}}), poi)
        offer = geonames.offer_of(place, poi, 5)
        self.assertEqual(offer["location"], {"type": "Point", "coordinates": [2.0, 1.0]})
        self.assertEqual(offer["validuntil"] - offer["validfrom"], 7 * 86_400_000)
        self.assertEqual(offer, geonames.offer_of(place, poi, 5))
        self.assertNotEqual(offer["_id"], geonames.offer_of(place, wikipedia, 5)["_id"])
        for no_place in ({"lat": 1, "lng": 2}, {"name": "x", "lat": 1}, {"name": "x", "lat": "y", "lng": 1}):
            self.assertIsNone(geonames.offer_of(no_place, poi, 5))

    def test_geonames_waits_for_a_limit_and_gives_up_on_a_wrong_account(self) -> None:
        geonames = plugin("geonames")
        for code, failure in ((19, consumer.Retry), (10, consumer.DeadLetter)):
            with self.assertRaises(failure):
                geonames.places(answer(200, {"status": {"value": code, "message": "m"}}), geonames.SOURCES[0])


if __name__ == "__main__":
    unittest.main()
