"""What a component begins with: imports the plugin, and is what the host calls.

Runs once when the component is made, and what is in memory then is what every instance begins
with; so a plugin's imports and tables cost nothing later.
"""

import gc
import linecache
import random
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from trellis import _log, _world

# Before the plugin, whose module may write to it.
_log.install()

import plugin  # type: ignore[import-not-found]  # noqa: E402, F401

R = TypeVar("R")

#: Where the plugin's folder is while it is built; its dependencies lie elsewhere.
_OWN = "/1/"


def _module(name: str) -> Any:
    """A module of the library that the plugin may have imported; only then it has a handler."""
    return sys.modules.get(f"trellis.{name}")


def _has(name: str) -> bool:
    """Whether the plugin has a handler of one of the library's modules."""
    module = _module(name)
    return module is not None and bool(module.has_handler())


def _check(trigger: str, table: str, name: str, decorator: str) -> None:
    """What the manifest promises must be there, and the other way round."""
    there = _has(name)
    if _world.exports(trigger) and not there:
        raise ImportError(f"plugin.toml has `{table}`, but plugin.py has no `@{decorator}`")
    if there and not _world.exports(trigger):
        raise ImportError(f"plugin.py has `@{decorator}`, but plugin.toml has no `{table}`")


_check("TrellisHttpPackedHandler010", "[http]", "http", "http.handler")
_check("TrellisKafkaPackedConsumer010", "[[consume]]", "consumer", "consumer.each` or `@consumer.batch")
_check("TrellisStreamingConnectionHandler010", "[connect]", "connection", "connection.opened")
_check("TrellisStreamingSocketHandler010", "[[listen]]", "socket", "socket.protocol")
_check("TrellisJobsJobHandler010", "[[schedule]]", "job", "job.run")
# The build looks for them in the text of plugin.py.
if _has("lifecycle") and not _world.exports("TrellisPluginLifecycle010"):
    raise ImportError("the hooks of `trellis.lifecycle` have to be in plugin.py")


class _Seed:
    """The state of `random` is a part of the component, so each instance begins with its own."""

    done = False

    def once(self) -> None:
        if not self.done:
            self.done = True
            random.seed()


_seed = _Seed()


def _called(function: Callable[..., R], *arguments: Any) -> R:
    _seed.once()
    return function(*arguments)


class TrellisHttpPackedHandler010:
    def handle(self, head: bytes, body: bytes) -> tuple[bytes, bytes]:
        answered: tuple[bytes, bytes] = _called(_module("http").answer, head, body)
        return answered


class TrellisKafkaPackedConsumer010:
    def handle(self, batch: bytes) -> None:
        _called(_module("consumer").handle, batch)


class TrellisStreamingConnectionHandler010:
    def open(self, request: Any) -> Any:
        return _called(_module("connection").decide, request)

    def events(self, batch: list[Any]) -> None:
        _called(_module("connection").happened, batch)


if _world.exports("TrellisStreamingSocketHandler010"):

    class TrellisStreamingSocketHandler010(_module("socket").Export):  # type: ignore[misc]
        def open(self, arrival: Any) -> Any:
            return _called(super().open, arrival)

        def restore(self, arrival: Any, saved: bytes) -> Any:
            return _called(super().restore, arrival, saved)


class TrellisJobsJobHandler010:
    def run(self, job: Any) -> None:
        _called(_module("job").do, job)


class TrellisPluginLifecycle010:
    """What is exported in vain, because plugin.py only speaks of it, does nothing."""

    def start(self, saved: bytes | None) -> None:
        if _has("lifecycle"):
            _called(_module("lifecycle").begin, saved)

    def save(self) -> bytes:
        kept: bytes = _module("lifecycle").keep() if _has("lifecycle") else b""
        return kept

    def stop(self) -> None:
        if _has("lifecycle"):
            _module("lifecycle").end()


def _keep_lines() -> None:
    """Keep the plugin's own lines for tracebacks, since its files are not there later."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None) or ""
        if file.startswith(_OWN):
            lines = linecache.getlines(file)
            # Without a time it is never looked for on a disk again.
            linecache.cache[file] = (sum(map(len, lines)), None, lines, file)


_keep_lines()

# What is there now stays: the collector need not look at it again, nor touch its pages.
gc.collect()
gc.freeze()
