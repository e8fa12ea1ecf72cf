"""Makes offers of what is near: a search for `#poi` or `#wikipedia` asks GeoNames for places around
it and puts them into the store as offers that live seven days."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from actions import Event, ask
from trellis import cache, client, config, consumer

DAY_MS = 24 * 3600 * 1000
#: How long an offer lives.
LIFE_MS = 7 * DAY_MS
#: Actions of a search after which there is nobody to show places to.
SILENT = frozenset({"delete", "preview"})
#: GeoNames says so in place of an answer: a limit was reached, or it is out of order.
BUSY = frozenset({12, 13, 18, 19, 20, 22, 23})


@dataclass
class Source:
    """What GeoNames is asked for one word."""

    word: str
    path: str
    #: The most that it takes, in kilometres.
    radius: float
    #: The member of the answer that has the places.
    places: str


SOURCES = (
    Source("#poi", "findNearbyPOIsOSMJSON", 1, "poi"),
    Source("#wikipedia", "findNearbyWikipediaJSON", 20, "geonames"),
)


@consumer.each
def handle(message: consumer.Message) -> None:
    event = Event.of(message)
    if event.kind != "srch" or event.text("action") in SILENT:
        return
    for source in SOURCES:
        if source.word in event.text("title").casefold().split():
            bring(event, source)


def bring(event: Event, source: Source) -> None:
    """Ask for the places around a search, unless that was done a while ago, and offer them."""
    latitude, longitude = event.number("lat"), event.number("lng")
    if latitude is None or longitude is None:
        raise consumer.DeadLetter("a `srch` event for places needs `lat` and `lng`")
    radius = min(max((event.number("radi") or 1000) / 1000, 0.1), source.radius)
    # About a hundred metres.
    query = {"lat": round(latitude, 3), "lng": round(longitude, 3), "radius": round(radius, 1)}
    mark = f"{source.word}/{urlencode(query)}"
    if cache.get(mark) is not None:
        return
    found = places(ask(client.Request("GET", question(source, query)), event.message), source)
    offers = [offer for place in found if (offer := offer_of(place, source, event.message.timestamp_ms))]
    if offers:
        body = {"new_offers": offers, "old_offers": [], "remove_offers": []}
        url = config.require("url").rstrip("/") + "/bulk/offers"
        headers = {"content-type": "application/json"}
        ask(client.Request("POST", url, headers, json.dumps(body).encode()), event.message)
    cache.set(mark, b"", DAY_MS)


def question(source: Source, query: dict[str, float]) -> str:
    """The URL that has the places."""
    most = {"maxRows": config.get("places", "50"), "username": config.require("username")}
    base = config.require("geonames-url").rstrip("/")
    return f"{base}/{source.path}?{urlencode(query | most)}"


def places(answer: client.Response, source: Source) -> list[dict[str, Any]]:
    """The places of an answer. Raises Retry where GeoNames has no time, DeadLetter where it never
    will."""
    try:
        value = answer.json()
    except ValueError as error:
        raise consumer.Retry(f"GeoNames answered with no JSON: {error}") from None
    if not isinstance(value, dict):
        return []
    if status := value.get("status"):
        code = status.get("value") if isinstance(status, dict) else None
        reason = f"GeoNames refused: {status}"
        raise consumer.Retry(reason) if code in BUSY else consumer.DeadLetter(reason)
    found = value.get(source.places)
    # A single one comes without its list.
    found = [found] if isinstance(found, dict) else found
    return [place for place in found or [] if isinstance(place, dict)]


def offer_of(place: dict[str, Any], source: Source, now_ms: int) -> dict[str, Any] | None:
    """A place as an offer; None for one without a name or a point."""
    title = place.get("title") or place.get("name")
    try:
        point = [float(place["lng"]), float(place["lat"])]
    except (KeyError, TypeError, ValueError):
        return None
    if not isinstance(title, str) or not title.strip():
        return None
    # The same place has the same name each time, so it is one offer however often it is found.
    digest = hashlib.sha256(f"{source.word}/{title}/{point}".encode()).hexdigest()
    more = ("summary", "wikipediaUrl", "thumbnailImg", "typeClass", "typeName")
    return {
        "_id": digest[:24],
        "text": f"{title} {source.word}",
        "keywords": [source.word],
        "owner": "geonames",
        "location": {"type": "Point", "coordinates": point},
        "radiusMeters": 1000,
        "place": title,
        "showLocation": True,
        "allowContacts": False,
        "isMobile": False,
        "isActive": True,
        "validfrom": now_ms,
        "validuntil": now_ms + LIFE_MS,
        "images": [],
        "extdata": {name: place[name] for name in more if place.get(name)},
    }
