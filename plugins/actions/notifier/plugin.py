"""Looks for matches when a search or an offer changes: a `srch` or `offr` event becomes
`GET …/searches/:id/notify` or `…/offers/:id/notify`, unless it deletes or only searches."""

from collections.abc import Iterator
from urllib.parse import quote

from actions import Event, run
from trellis import client, config, consumer

#: What is changed by an event of each type.
CHANGED = {"srch": "searches", "offr": "offers"}
#: Actions after which there is nothing to match.
SILENT = frozenset({"delete", "search", "preview"})


@consumer.batch
def handle(messages: consumer.Batch) -> None:
    url = config.require("url").rstrip("/")
    run(messages, lambda event: requests(event, url))


def requests(event: Event, url: str) -> Iterator[client.Request]:
    """What an event asks for: a request, or nothing."""
    changed = CHANGED.get(event.kind)
    if changed is None or event.text("action") in SILENT:
        return
    identifier = event.text("_id")
    if not identifier:
        raise consumer.DeadLetter(f"a `{event.kind}` event needs `_id`", event.message)
    yield client.Request("GET", f"{url}/{changed}/{quote(identifier, safe='')}/notify")
