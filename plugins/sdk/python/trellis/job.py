"""What the plugin does by the clock.

    from trellis import job

    @job.run
    def tidy(job: job.Job) -> None:
        ...

When is in `[[schedule]]` of plugin.toml. An exception is a failed run, told in the log.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trellis._errors import Err

__all__ = ["Job", "run"]


@dataclass
class Job:
    """What is to be done."""

    #: Identifies the run in the log.
    id: str
    #: The `name` of the `[[schedule]]` table.
    name: str
    #: When the run was due, in milliseconds since 1970 UTC.
    due_ms: int
    #: Counts the runs that were begun for the same due time, from 1.
    attempt: int
    payload: bytes


Run = Callable[[Job], None]
_run: Run | None = None


def run(function: Run) -> Run:
    """The function that does it."""
    global _run
    _run = function
    return function


def has_handler() -> bool:
    """Whether there is such a function."""
    return _run is not None


def do(job: Any) -> None:
    """One call of the host."""
    assert _run is not None, "the entry has looked for it"
    try:
        _run(Job(job.id, job.name, job.due_ms, job.attempt, job.payload))
    except Exception as error:
        logging.exception("the run of `%s` failed", job.name)
        raise Err(f"{type(error).__name__}: {error}") from None
