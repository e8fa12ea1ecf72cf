"""Tells searchers of what an importer brought: a `bud` event names an owner, whose offers are read
from the store, and each of them is matched with `GET …/offers/:id/notify`."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from actions import AT_ONCE, Event, ask, check
from trellis import client, config, consumer


@consumer.each
def handle(message: consumer.Message) -> None:
    event = Event.of(message)
    if event.kind != "bud":
        return
    owner = event.text("owner")
    if not owner:
        raise consumer.DeadLetter("a `bud` event needs `owner`")
    store = config.require("url").rstrip("/")
    answer = ask(client.Request("GET", f"{store}/bulk/offers/{quote(owner, safe='')}"), message)
    requests = [notify(store, identifier) for identifier in identifiers(answer)]
    # A failure begins again with the first offer: the notifications know what was told already.
    for start in range(0, len(requests), AT_ONCE):
        for told in client.send_all(requests[start : start + AT_ONCE]):
            if not gone(told):
                check(told, message)


def identifiers(answer: client.Response) -> Iterator[str]:
    """The `_id`s of `{"data": [offer, …]}` or `[offer, …]`."""
    try:
        offers: Any = answer.json()
    except ValueError as error:
        raise consumer.Retry(f"{answer.url} answered with no JSON: {error}") from None
    offers = offers.get("data") if isinstance(offers, dict) else offers
    for offer in offers if isinstance(offers, list) else []:
        if isinstance(offer, dict) and isinstance(offer.get("_id"), str | int):
            yield str(offer["_id"])


def notify(store: str, identifier: str) -> client.Request:
    return client.Request("GET", f"{store}/offers/{quote(identifier, safe='')}/notify")


def gone(answer: client.Response | client.ClientError) -> bool:
    """Whether an offer was deleted since the list was read, which is fine."""
    return isinstance(answer, client.Response) and answer.status in (404, 410)
