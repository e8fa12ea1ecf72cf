"""Counts the events of a topic by their type, and answers `GET /{{name}}?type=w` with a count."""

from trellis import consumer, http
from trellis.keyvalue import Store

counts = Store("default")


@consumer.each
def count(message: consumer.Message) -> None:
    """An exception is tried again; `consumer.DeadLetter` puts a message aside for good."""
    counts.increment(message.json()["type"])


@http.handler
def answer(request: http.Request) -> http.Response:
    return http.Response.text((counts.get(request.query_value("type")) or b"0").decode())
