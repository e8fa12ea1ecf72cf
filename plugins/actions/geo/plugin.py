"""Tells the store where devices are: a `geo` event becomes `GET /store/geo?di=…&lt=…&lg=…`, which
moves the device's offers and searches and looks for matches."""

from collections.abc import Iterator
from urllib.parse import urlencode

from actions import Event, run
from trellis import client, config, consumer


@consumer.batch
def handle(messages: consumer.Batch) -> None:
    last = last_places(messages)
    url = config.require("url")
    run(messages, lambda event: requests(event, url, last))


def last_places(messages: consumer.Batch) -> dict[str, int]:
    """The last offset of each device. The requests of a batch overtake each other, so of a device
    that moved more than once only the last place is told."""
    last = {}
    for message in messages:
        try:
            event = Event.of(message)
        except consumer.DeadLetter:
            # It is put aside when its turn comes.
            continue
        if event.kind == "geo":
            last[event.text("di")] = message.offset
    return last


def requests(event: Event, url: str, last: dict[str, int]) -> Iterator[client.Request]:
    """What an event asks for: a request, or nothing."""
    if event.kind != "geo":
        return
    device, latitude, longitude = event.text("di"), event.number("lt"), event.number("lg")
    if not device or latitude is None or longitude is None:
        raise consumer.DeadLetter("a `geo` event needs `di`, `lt` and `lg`", event.message)
    if last[device] == event.message.offset:
        query = urlencode({"di": device, "lt": latitude, "lg": longitude})
        yield client.Request("GET", f"{url}?{query}")
