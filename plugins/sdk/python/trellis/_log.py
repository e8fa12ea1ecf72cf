"""`logging` to the host's log. A line's context is the name of its logger."""

import logging
from typing import Any

from trellis._world import imported

_wit = imported("wasi_logging_logging_0_1_0_draft", "a manifest")

_LEVELS = ((logging.CRITICAL, "CRITICAL"), (logging.ERROR, "ERROR"), (logging.WARNING, "WARN"), (logging.INFO, "INFO"))


class _Formatter(logging.Formatter):
    """Tracebacks of the plugin alone: without the library's frames, and with paths as people know them."""

    def formatException(self, ei: Any) -> str:
        told: list[str] = []
        hidden = False
        for line in super().formatException(ei).splitlines():
            if line.startswith('  File "/'):
                mount, _, rest = line.removeprefix('  File "/').partition("/")
                hidden = mount == "0"
                # Folders of the plugin are mounted by their numbers; modules of Python are elsewhere.
                line = f'  File "{rest}' if mount.isdecimal() else line
            elif not line.startswith("    "):
                hidden = False
            if not hidden:
                told.append(line)
        if not any(line.startswith("  File ") for line in told):
            told = [line for line in told if not line.startswith("Traceback ")]
        return "\n".join(told)


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        level = next((name for least, name in _LEVELS if record.levelno >= least), "DEBUG")
        context = "" if record.name == "root" else record.name
        _wit.log(_wit.Level[level], context, self.format(record))


def install() -> None:
    """Make the host's log the one that loggers write to, from INFO on."""
    root = logging.getLogger()
    handler = _Handler()
    handler.setFormatter(_Formatter())
    root.addHandler(handler)
    root.setLevel(logging.INFO)
