"""Counts the events of a topic by their type, exactly once, and answers with the counts."""

from collections import Counter

from trellis import consumer, http, sql

ADD = """INSERT INTO tally (type, events) VALUES ($1, $2)
    ON CONFLICT (type) DO UPDATE SET events = tally.events + excluded.events"""


@consumer.batch
def count(messages: consumer.Batch) -> None:
    """Adds up a batch in memory, so that each type is written once for all its messages.

    Those before the first that is no event are stored; that one is put aside.
    """
    counts: Counter[str] = Counter()
    refused: consumer.DeadLetter | None = None
    for message in messages:
        event = message.json()
        kind = event.get("type") if isinstance(event, dict) else None
        if not isinstance(kind, str) or not kind:
            refused = consumer.DeadLetter("an event is an object with a `type`", message)
            break
        counts[kind] += 1
    sql.batch([(ADD, kind, events) for kind, events in counts.items()])
    if refused:
        raise refused


@http.handler
def answer(_: http.Request) -> http.Response:
    """All counts: {"w": 3}."""
    rows = sql.query("SELECT type, events FROM tally ORDER BY type")
    return http.Response.json({row["type"]: row["events"] for row in rows})
