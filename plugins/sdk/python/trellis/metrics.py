"""Numbers for the host's `/metrics`. Every series has the label `plugin`, and its name starts with
`plugin_`; a plugin has at most 1,000 series."""

from collections.abc import Mapping

from trellis._world import imported

__all__ = ["count", "gauge", "observe"]

_wit = imported("trellis_plugin_metrics_0_1_0", "a manifest")


def count(name: str, by: int = 1, labels: Mapping[str, str] | None = None) -> None:
    """Add to a counter."""
    _wit.count(name, list((labels or {}).items()), by)


def gauge(name: str, value: float, labels: Mapping[str, str] | None = None) -> None:
    """Set a gauge."""
    _wit.gauge(name, list((labels or {}).items()), value)


def observe(name: str, value: float, labels: Mapping[str, str] | None = None) -> None:
    """Record one observation in a histogram; seconds and bytes are the units to use."""
    _wit.observe(name, list((labels or {}).items()), value)
