"""Errors of capabilities: the host's variants as exceptions."""

import importlib
from collections.abc import Mapping
from types import TracebackType
from typing import Any


class _Outside(Exception):
    """The failure of a call, where there is no host."""

    def __init__(self, value: Any) -> None:
        super().__init__(value)
        self.value = value


#: What the bindings raise, and want to have raised, for a `result` that is an error.
Err: Any
try:
    Err = importlib.import_module("componentize_py_types").Err
except ModuleNotFoundError:
    Err = _Outside


class Error(Exception):
    """Something that a capability of the host refused or could not do."""


class Raising:
    """Turns the host's errors into exceptions, within a `with`.

    `cases` names a class for each case of the host's variant.
    """

    def __init__(self, otherwise: type[Error], cases: Mapping[str, type[Error]]) -> None:
        self._otherwise = otherwise
        self._cases = cases

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, Err):
            raise self.exception(error.value) from None

    def exception(self, value: Any) -> Error:
        """The exception for a value of the host's variant."""
        case = type(value).__name__.rpartition("_")[2]
        kind = self._cases.get(case, self._otherwise)
        detail = getattr(value, "value", None)
        if detail is None:
            return kind(_words(case))
        return kind(detail if isinstance(detail, str) else f"{_words(case)}: {detail}")


def _words(case: str) -> str:
    """`TooLarge` as `too large`."""
    return "".join(f" {c.lower()}" if c.isupper() else c for c in case).strip()
