"""Where an address is, from the database that the operator named. Needs `[needs] geoip = true`."""

from dataclasses import dataclass
from typing import Any

from trellis._world import imported

__all__ = ["Location", "lookup", "lookup_many"]

_wit = imported("trellis_plugin_geoip_0_1_0", "[needs] geoip = true")


@dataclass
class Location:
    """What is known of an address."""

    #: ISO 3166-1 alpha-2, `DE`.
    country: str | None
    #: In English.
    city: str | None
    latitude: float | None
    longitude: float | None


def lookup(ip: str) -> Location | None:
    """None for an address that is unknown, private or none, or where there is no database."""
    return _location(_wit.lookup(ip))


def lookup_many(ips: list[str]) -> list[Location | None]:
    """The same for many addresses in one call, at most 100,000."""
    return [_location(found) for found in _wit.lookup_many(ips)]


def _location(it: Any) -> Location | None:
    return None if it is None else Location(it.country, it.city, it.latitude, it.longitude)
