"""`logging` to the host's log. A line's context is the name of its logger."""

import logging

from trellis._world import imported

_wit = imported("wasi_logging_logging_0_1_0_draft", "a manifest")

_LEVELS = ((logging.CRITICAL, "CRITICAL"), (logging.ERROR, "ERROR"), (logging.WARNING, "WARN"), (logging.INFO, "INFO"))


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        level = next((name for least, name in _LEVELS if record.levelno >= least), "DEBUG")
        context = "" if record.name == "root" else record.name
        _wit.log(_wit.Level[level], context, self.format(record))


def install() -> None:
    """Make the host's log the one that loggers write to, from INFO on."""
    root = logging.getLogger()
    root.addHandler(_Handler())
    root.setLevel(logging.INFO)
